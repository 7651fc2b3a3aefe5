"""Every broken configuration is found, by the right check alone; no sound one draws a warning."""

import pytest

from hf_lrsched import diagnose
from hf_lrsched.doctor.checks import CHECKS
from tests.doctor.configurations import BROKEN, SOUND, label

#: What only a built Trainer shows; see test_from_trainer.py and test_loss_scaling.py.
TRAINERS_ONLY = {"loss_multiplied", "unused_schedule"}
NOTES_ONLY = {"misspelled_setting", "unreadable_file"}


def cases(table):
    return [
        pytest.param(check, case, id=f"{check}-{index}-{label(case)}")
        for check, listed in table.items()
        for index, case in enumerate(listed)
    ]


def wrong(case, folder):
    return [finding for finding in diagnose(case.write(folder), case.updates) if finding.is_wrong]


@pytest.mark.parametrize(("check", "case"), cases(BROKEN))
def test_broken_configuration_is_found_by_the_right_check(check, case, tmp_path):
    findings = wrong(case, tmp_path)
    assert {finding.check for finding in findings} == {check}, "\n".join(map(str, findings))


@pytest.mark.parametrize(("check", "case"), cases(SOUND))
def test_sound_configuration_draws_no_warning(check, case, tmp_path):
    assert not wrong(case, tmp_path)


def test_every_check_has_two_cases_of_each_kind():
    for check in CHECKS:
        name = check.__name__
        if name not in TRAINERS_ONLY | NOTES_ONLY:
            assert len(BROKEN[name]) >= 2 and len(SOUND[name]) >= 2, name


def test_every_check_has_a_one_line_summary():
    for check in CHECKS:
        first = (check.__doc__ or "").splitlines()[0]
        assert first and len(first) < 140, check.__name__
