"""RunSettings: what a resume compares, and how it names a difference."""

import pytest

from hf_lrsched.schedules import Horizon, ScheduleError, parse

from .paper_runs import advance, make, resume, take_lrs


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"schedule": "cosine()"}, "schedule was 'linear()' and is 'cosine()'"),
        ({"lrs": (0.5,)}, "peaks was [1.0] and is [0.5]"),
        ({"updates_per_epoch": 4}, "updates_per_epoch was None and is 4"),
        ({"lrs": (1.0, 0.1)}, "1 parameter group, this one 2"),
    ],
)
def test_strict_names_the_difference(other, said):
    with pytest.raises(ScheduleError) as error:
        resume(advance(make(), 4), make(**other))
    assert said in str(error.value)


def test_batch_size_matters_if_the_schedule_uses_it():
    def over(samples, schedule):
        return make(schedule, Horizon(8, samples_per_update=samples))

    assert take_lrs(resume(advance(over(16, "linear()"), 4), over(32, "linear()")), 4) == [0.5, 0.375, 0.25, 0.125]
    with pytest.raises(ScheduleError, match="samples_per_update was 16 and is 32"):
        resume(advance(over(16, "step(every=32sa)"), 1), over(32, "step(every=32sa)"))


def test_refusal_with_many_groups_is_short():
    old = advance(make(lrs=[1.0] + [0.9**k for k in range(27)]), 4)
    with pytest.raises(ScheduleError) as caught:
        resume(old, make(lrs=[1.0] + [0.5**k for k in range(27)]))
    assert str(caught.value).partition(" Resume with")[0] == (
        "cannot resume at update 4: peaks differ in 26 of 28 groups: that of group 2 was 0.9 and is 0.5. The next update's LR "
        "is 0.5, 0.45, 0.405, … 0.03231 by the checkpoint and 0.5, 0.25, 0.125, … 7.451e-09 by the new settings."
    )


def test_own_schedule_of_a_group_is_named():
    other = make(lrs=(1.0, 0.1), own=(None, parse("freeze()")))
    with pytest.raises(ScheduleError, match=r"own schedule was \[None, None\] and is \[None, 'freeze\(\)'\]"):
        resume(advance(make(lrs=(1.0, 0.1)), 4), other)
