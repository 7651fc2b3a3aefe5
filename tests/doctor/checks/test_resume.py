"""Checks of resumed runs: each broken configuration is found by the right check alone, each sound one draws no warning."""

from hf_lrsched import diagnose
from tests.doctor.checks.cases import test_broken_is_found_by_its_check_alone, test_sound_draws_no_warning  # noqa: F401
from tests.doctor.configurations import NAN, Run, Stage, lambda_state, linear_log, log, our_state, resume_event
from tests.doctor.files import evils

BROKEN = {
    "resume_changes_curve": [
        # 8 -> 12 updates: the LR jumps from 0.5 to 0.667 of the peak.
        Run(Stage(40, 80), Stage(120, 120, history=[*linear_log(40, 80), *linear_log(120, 120)[4:]])),
        # The log alone: the first checkpoint is gone.
        Run(Stage(100, 120, history=[*linear_log(40, 80), *linear_log(100, 120)[4:]])),
        # A new learning rate, which is ignored.
        Run(
            Stage(40, 80, scheduler=lambda_state(40, 2.5e-5)),
            Stage(80, 80, learning_rate=1e-4, history=linear_log(80, 80), scheduler=lambda_state(80, 0.0)),
        ),
        # Another shape.
        Run(Stage(40, 80), Stage(60, 80, lr_scheduler_type="cosine", history=linear_log(40, 80))),
    ],
    "mixed_runs": [
        Run(Stage(40, 80, history=log({"loss": 0.9, "learning_rate": 5e-5})), Stage(80, 80)),
        Run(Stage(20, 80), Stage(40, 80, history=linear_log(40, 80)[1:]), Stage(60, 80)),
    ],
}

SOUND = {
    "resume_changes_curve": [
        Run(Stage(40, 80), Stage(80, 80), Stage(80, 80, name="", ended=True)),
        # Our own, whose user chose what happens to the curve.
        Run(Stage(50, 100, scheduler=our_state([resume_event("stretch", 2.5e-5, 2.5e-5)]))),
        Run(Stage(50, 100, scheduler=our_state([resume_event("switch", 2.5e-5, 3.5e-5)]))),
        Run(
            Stage(40, 80, lr_scheduler_type="constant", history=log({"loss": 1.0, "learning_rate": 5e-5})),
            Stage(60, 120, lr_scheduler_type="constant", history=log({"loss": 1.0, "learning_rate": 5e-5})),
        ),
    ],
    "mixed_runs": [
        Run(Stage(20, 80), Stage(40, 80), Stage(60, 80)),
        # NaN is not equal to itself, and still the same log.
        Run(
            Stage(20, 80, fp16=True, history=log({"loss": 1.0, "learning_rate": 4.4e-5, "grad_norm": NAN})),
            Stage(30, 80, fp16=True, history=log({"loss": 1.0, "learning_rate": 4.4e-5, "grad_norm": NAN})),
        ),
    ],
}


def test_unreadable_scheduler_is_a_note(tmp_path):
    run = Run(Stage(40, 80, scheduler=lambda_state(40, 2.5e-5))).write(tmp_path)
    mark = tmp_path / "executed"
    (run / "checkpoint-40" / "scheduler.pt").write_bytes(dict(evils(mark))["os.system"])
    findings = diagnose(run)
    assert [(finding.severity, finding.check) for finding in findings] == [("note", "unreadable_file")]
    assert "system" in findings[0].why and not mark.exists()
    (run / "checkpoint-40" / "scheduler.pt").write_bytes(b"PK\x03\x04")
    assert [finding.check for finding in diagnose(run)] == ["unreadable_file"]
