"""What a schedule counts."""

import pytest
import torch

from hf_lrsched import Horizon, ScheduleError, ScheduleLR, parse
from hf_lrsched.trajectory.clocks import (
    Clock,
    Epochs,
    Time,
    Tokens,
    as_clock,
    convert_position,
)


@pytest.mark.parametrize(
    "text, clock",
    [
        ("updates", Clock()),
        ("epochs", Epochs()),
        (" epochs ", Epochs()),
        ("tokens(2000000)", Tokens(2_000_000)),
        ("tokens(2000000tok)", Tokens(2_000_000)),
        ("time(30min)", Time("30min")),
        ("time(1.5h)", Time("1.5h")),
    ],
)
def test_text(text, clock):
    assert as_clock(text) == clock == as_clock(str(clock)) == as_clock(clock)
    assert isinstance(clock, Clock)


@pytest.mark.parametrize(
    "value, message",
    [
        ("epoch", "Did you mean 'epochs'"),
        ("tokens", "tokens.NUMBER."),
        ("time", "time.30min."),
        ("updates(3)", "a clock is one of"),
        ("tokens(0)", "at least 1"),
        ("tokens(1.5)", "a whole number"),
        ("time(30)", "a time like 90s, 30min or 2h"),
        ("time(0.5s)", "at least 1s"),
        ("", "a clock is one of"),
        (None, "a clock is one of"),
        (3, "a clock is one of"),
    ],
)
def test_refused(value, message):
    with pytest.raises(ScheduleError, match=message):
        as_clock(value)


def test_a_schedule_in_time():
    curve = parse("warmup(2min) >> hold(25%) >> linear()").resolve(Time("20min").horizon(Horizon(5)))
    assert [part.end for part in curve.parts] == [120, 420, 1200]
    assert curve(60.5) == pytest.approx(60.5 / 120)
    assert curve(810) == pytest.approx(0.5)


def test_a_schedule_in_tokens():
    curve = parse("warmup(10000tok) >> linear()").resolve(Tokens(100_000).horizon(Horizon(5)))
    assert curve(5_000) == 0.5
    assert curve(55_000) == 0.5


@pytest.mark.parametrize("clock", ["time(1h)", "tokens(1000)"])
@pytest.mark.parametrize("length", ["500", "1ep", "500sa"])
def test_other_lengths_have_no_meaning(clock, length):
    with pytest.raises(ScheduleError, match="has no meaning here"):
        parse(f"warmup({length}) >> linear()").resolve(as_clock(clock).horizon(Horizon(5, 1, 1, 1)))


def test_a_position_in_the_data():
    assert convert_position(150, Horizon(300, 100), Horizon(150, 50)) == 75
    assert convert_position(75, Horizon(150, 50), Horizon(300, 100)) == 150
    assert convert_position(7, Horizon(300), Horizon(150, 50)) == 7  # an epoch has no length there


def scheduler(clock, updates=300, per_epoch=100, schedule="warmup(10%) >> linear()", **kwargs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    return ScheduleLR(optimizer, schedule, updates, per_epoch, clock=clock, **kwargs)


def test_moved_by_hand():
    made = scheduler("tokens(1000)", schedule="linear()")
    made.move_to(250)
    made.optimizer.step()
    made.step()
    assert made.get_last_lr() == [0.75]  # updates mean nothing to it
    made.move_to(200)
    assert made.get_last_lr() == [0.75]  # and it never goes back
    assert made.last_epoch == 1
    other = scheduler("tokens(1000)", schedule="linear()")
    other.load_state_dict(made.state_dict())
    assert (other.position, other.get_last_lr()) == (250, [0.75])


def test_another_batch_size_with_epochs_goes_on_at_the_same_place_in_the_data():
    made = scheduler("epochs")
    made.advance_to(150)  # 1.5 of 3 epochs
    lr = made.get_last_lr()
    for per_epoch in (50, 200, 33):
        other = scheduler("epochs", 3 * per_epoch, per_epoch)
        other.load_state_dict(made.state_dict())
        assert other.position == pytest.approx(1.5 * per_epoch)
        assert other.get_last_lr() == pytest.approx(lr, abs=0.01)  # 10% of 99 updates are 10
        other.optimizer.step()
        other.step()
        assert other.position == pytest.approx(1.5 * per_epoch + 1)


def test_another_batch_size_without_is_refused():
    made = scheduler("updates")
    made.advance_to(150)
    with pytest.raises(ScheduleError, match="num_updates was 300 and is 150"):
        scheduler("updates", 150, 50).load_state_dict(made.state_dict())


def test_other_epochs_are_refused_with_epochs_too():
    made = scheduler("epochs")
    made.advance_to(150)
    with pytest.raises(ScheduleError, match="cannot resume"):
        scheduler("epochs", 200, 50).load_state_dict(made.state_dict())


def test_another_clock_is_refused():
    made = scheduler("updates", schedule="linear()")
    for clock in ("time(30min)", "tokens(1000)"):
        with pytest.raises(ScheduleError, match="counts updates, this one"):
            scheduler(clock, schedule="linear()", on_resume="switch").load_state_dict(made.state_dict())


def test_switch_resumes_an_updates_clock_as_epochs():
    made = scheduler("updates", schedule="linear()")
    with pytest.raises(ScheduleError, match="clock was 'updates' and is 'epochs'"):
        scheduler("epochs", schedule="linear()").load_state_dict(made.state_dict())
    switched = scheduler("epochs", schedule="linear()", on_resume="switch")
    switched.load_state_dict(made.state_dict())
    assert switched.position == made.position and switched.get_last_lr() == made.get_last_lr()


def test_more_time_is_another_setting():
    made = scheduler("time(100s)", schedule="linear()")
    made.move_to(50)
    with pytest.raises(ScheduleError, match=r"clock was 'time.100s.' and is 'time.200s.'"):
        scheduler("time(200s)", schedule="linear()").load_state_dict(made.state_dict())
    longer = scheduler("time(200s)", schedule="linear()", on_resume="stretch")
    longer.load_state_dict(made.state_dict())
    assert longer.get_last_lr() == [0.5]
    longer.move_to(125)
    assert longer.get_last_lr() == [0.25]
    assert longer.end == 200


def test_a_schedule_that_needs_the_callback_warns_without_it(caplog):
    for schedule, clock, method in (
        ("hold() * plateau()", "updates", "observe(metrics)"),
        ("hold() >> cooldown(10)", "updates", "start_cooldown()"),
        ("linear()", "time(1h)", "move_to(position)"),
    ):
        caplog.clear()
        made = scheduler(clock, schedule=schedule)
        made.optimizer.step()
        made.step()
        assert method in caplog.text and "ScheduleCallback()" in caplog.text
    caplog.clear()
    made = scheduler("updates")
    made.optimizer.step()
    made.step()
    assert not caplog.text


def test_time_is_no_text_for_others():
    assert isinstance(Time("1h"), Time)
    assert str(Time("90min")) == "time(90min)"
