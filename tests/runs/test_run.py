"""read_run: the newest record, else the Trainer's own state, else a clear error."""

import json
from collections import UserDict
from types import MappingProxyType

import pytest

from hf_lrsched import ScheduleError, read_run
from hf_lrsched.runs.append_only import Appender
from hf_lrsched.runs.record import Segment
from hf_lrsched.runs.run import run_from_history
from hf_lrsched.schedules import Horizon
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory


@pytest.fixture
def record(tmp_path):
    """Writes a record of 10 updates of a schedule."""

    def make(name, schedule="linear()", **rows):
        trajectory = Trajectory(RunSettings(schedule, Horizon(10, 5), (1.0, 2.0)))
        start = {"num_updates": 10, "groups": ["body", "head"], **Segment(0, trajectory, 0.0, (1.0, 1.0)).to_row()}
        for file, each in {"run": [start], **rows}.items():
            appender = Appender(tmp_path / name / f"{file}.jsonl")
            for row in each:
                appender.append({"start": 0, "step": 0, **row})
        return tmp_path / name

    return make


@pytest.fixture
def state(tmp_path):
    def make(name="trainer_state.json", **content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"log_history": [], "max_steps": 10, **content}), encoding="utf-8")
        return path

    return make


def test_lrs_by_the_names_of_the_groups(record, tmp_path):
    record("record")
    run = read_run(tmp_path)
    assert {name: lrs.tolist() for name, lrs in run.lrs([0, 5]).items()} == {"body": [1.0, 0.5], "head": [2.0, 1.0]}
    assert (run.schedule, run.groups, run.num_updates) == ("linear()", ["body", "head"], 10)


def test_the_newest_record(record, tmp_path):
    for number, name in enumerate(["record", "record-2", "record-10", "record-9"]):
        record(name, f"hold({number + 1}) >> linear()")
    assert read_run(tmp_path).path.name == "record-10"
    assert read_run(str(tmp_path / "record-2")).schedule == "hold(2) >> linear()"
    assert read_run(tmp_path / "record-2").name == tmp_path.name
    (tmp_path / "record-11").mkdir()  # of a run that died before its first row
    assert read_run(tmp_path).path.name == "record-10"


def test_evaluation_sets_at_one_update_are_one_evaluation(record, tmp_path):
    sets = [{"step": 5, "eval_a_loss": 1.0, "learning_rate": 0.6}, {"step": 5, "eval_b_loss": 2.0}]
    record("record", evaluations=[*sets, {"step": 10, "eval_a_loss": 0.5}])
    run = read_run(tmp_path)
    assert [row["step"] for row in run.evaluations] == [5, 10]
    assert run.metrics == ["eval_a_loss", "eval_b_loss"]
    assert run.series("eval_a_loss") == ([5, 10], [1.0, 0.5])
    assert run.series("eval_b_loss") == ([5], [2.0])


def test_a_state_that_is_too_large_beside_a_record_is_named(record, state, tmp_path, caplog, monkeypatch):
    record("record", train=[{"step": 5, "loss": 0.5}])
    history = [{"step": 5, "loss": 0.5}, {"step": 10, "eval_test_accuracy": 0.9}]
    path = state(log_history=history, best_global_step=5)
    assert read_run(tmp_path).metrics == ["eval_test_accuracy"] and caplog.text == ""
    monkeypatch.setattr("hf_lrsched.runs.run._MAX_STATE_BYTES", path.stat().st_size - 1)
    run = read_run(tmp_path)
    assert (run.metrics, run.best_step) == ([], None)
    assert f"{path} has 0 MB and is not read" in caplog.text


def test_one_damaged_step_costs_no_other_evaluation(record, tmp_path):
    record("record", evaluations=[{"step": step, "eval_loss": 1.0} for step in (5, 2.5, 10)])
    assert read_run(tmp_path).series("eval_loss") == ([2, 5, 10], [1.0, 1.0, 1.0])


def test_without_a_record_the_newest_checkpoints_state(state, tmp_path):
    for step in (9, 10, 100):
        rows = [{"step": step, "loss": 0.5, "learning_rate": 1e-5, "epoch": step / 50}]
        state(f"checkpoint-{step}/trainer_state.json", log_history=rows)
    run = read_run(tmp_path)
    assert run.updates_done == 100 and run.updates_per_epoch == 50 and run.lrs([0]) is None
    assert run.recorded_lrs() == ([100], [1e-5])
    assert read_run(tmp_path / "checkpoint-9").updates_done == 9
    assert read_run(tmp_path / "checkpoint-10/trainer_state.json").name == "checkpoint-10"


def test_evaluations_of_a_state(state, tmp_path):
    rows = [
        {"step": 5, "loss": 0.7, "learning_rate": 2e-5},
        {"step": 5, "eval_loss": 0.6, "eval_runtime": 1.0, "eval_learning_rate": 2e-5, "eval_lr/head": 1e-4},
        {"step": 5, "train_loss": 0.7, "train_runtime": 9.0, "total_flos": 1.0},
    ]
    state(log_history=rows)
    run = read_run(tmp_path)
    assert run.metrics == ["eval_loss"] and run.groups == ["head"]
    (evaluation,) = run.evaluations
    assert (evaluation["learning_rate"], evaluation["lr/head"]) == (2e-5, 1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON: .* line 1 column 2"),
        (b"[]", "must be a mapping of names to values, got a list"),
        (b"{}", "is no trainer_state.json: it has no log_history"),
        (b"\xff", "is not a text file in UTF-8: .* at byte 0"),
        (b"", "is empty"),
    ],
)
def test_a_damaged_state(tmp_path, content, message):
    (tmp_path / "trainer_state.json").write_bytes(content)
    with pytest.raises(ScheduleError, match=message):
        read_run(tmp_path)


def test_no_run_at_the_path(tmp_path):
    with pytest.raises(ScheduleError, match=r"no such file or folder: .*nowhere"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(ScheduleError, match=r"not a run.s folder: it has no record.run.jsonl, no "):
        read_run(tmp_path)


def test_a_record_without_a_row(record, tmp_path):
    record("record", run=[])
    (tmp_path / "record/run.jsonl").parent.mkdir()
    (tmp_path / "record/run.jsonl").write_bytes(b'{"start": 0, "st')
    with pytest.raises(ScheduleError, match="no row that can be read"):
        read_run(tmp_path)


@pytest.mark.parametrize("damage", [{"offset": None}, {"scales": "x"}, {"trajectory": {"schedule": 1}}])
def test_a_record_with_a_damaged_row(record, tmp_path, damage):
    path = record("record")
    Appender(path / "run.jsonl").append({**json.loads((path / "run.jsonl").read_text()), "start": 1, **damage})
    with pytest.raises(ScheduleError, match="is corrupted"):
        read_run(tmp_path)


def test_history_of_setfit_has_its_own_name_for_the_loss_and_measures_no_time():
    rows = [
        {"step": 5, "embedding_loss": 0.7, "learning_rate": 2e-5, "epoch": 0.5},
        {"step": 10, "eval_embedding_loss": 0.6, "epoch": 1.0},
    ]
    run = run_from_history(rows)
    assert run.series("loss") == ([5], [0.7]) and run.recorded_lrs() == ([5], [2e-5])
    assert run.metrics == ["eval_embedding_loss"] and run.series("eval_embedding_loss") == ([10], [0.6])


def test_metrics_that_are_lists_or_texts_are_none():
    rows = [{"step": 5, "eval_f1": [0.1, 0.9], "eval_report": "good", "eval_accuracy": 0.5, "eval_ok": True}]
    assert run_from_history(rows).metrics == ["eval_accuracy"]


def test_folder_of_runs_names_them(tmp_path):
    for name in ("budget-1ep", "budget-2ep", "budget-3ep", "trunk"):
        (tmp_path / name / "record").mkdir(parents=True)
        (tmp_path / name / "record" / "run.jsonl").touch()
    (tmp_path / "budgets.json").touch()
    with pytest.raises(ScheduleError) as raised:
        read_run(tmp_path)
    runs = [str(tmp_path / f"budget-{epochs}ep") for epochs in (1, 2, 3)]
    assert str(raised.value).endswith(f" Runs are in {', '.join(runs)}, ….")


@pytest.mark.parametrize("make", [dict, UserDict, MappingProxyType])
def test_records_of_a_history_are_mappings_of_any_kind(make):
    run = run_from_history([make({"step": 1, "loss": 0.5}), None, make({"step": 2, "eval_f1": 0.25})])
    assert ([*run.train], run.metrics) == ([{"step": 1, "loss": 0.5}], ["eval_f1"])
