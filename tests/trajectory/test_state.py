"""RunState: where a run is on its schedule, what changes its LRs, and the same as data."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched import ScheduleError
from hf_lrsched.trajectory.resume_state import read_state
from hf_lrsched.trajectory.state import MAX_EVENTS, explain_rescale

from .paper_runs import advance, make, take_lrs

PLATEAU = "hold() * plateau(factor=0.5, patience=1, threshold=0)"


def test_each_update_has_its_lr_on_the_line():
    state = make("linear()", 4, lrs=(1.0, 8.0))
    assert state.lrs() == [1.0, 8.0]
    assert [state.advance() for _ in range(5)] == [[0.75, 6.0], [0.5, 4.0], [0.25, 2.0], [0.0, 0.0], [0.0, 0.0]]
    state.advance_to(1)  # also back
    assert (state.update, state.position, state.lrs()) == (1, 1, [0.75, 6.0])


def test_the_position_moves_apart_from_the_updates():
    state = advance(make("linear()", 8), 2)
    state.position = 4.0
    assert (state.update, state.lrs(), state.advance()) == (2, [0.5], [0.375])


def test_a_probe_passes_several_positions_with_each_update():
    state = make("linear()", 8)
    state.stride = 2.0
    assert take_lrs(state, 4) == [1.0, 0.75, 0.5, 0.25]


def test_groups_follow_schedules_of_their_own():
    _, own = make("linear()", 4), make("hold()", 4).curves[0].schedule
    assert advance(make("linear()", 4, lrs=(1.0, 3.0), own=(None, own)), 2).lrs() == [0.5, 3.0]


def test_no_clock_but_that_of_updates_moves_with_the_updates():
    with pytest.raises(ScheduleError, match="counts updates"):
        make().move_to(3.0)


# ---- plateau() ----


def test_a_plateau_by_hand():
    # The loss, then the scale after it. One evaluation without a new best is ignored, the second one halves the scale.
    table = [
        (1.00, 1.0),  # the first is the best
        (0.90, 1.0),  # the best
        (0.95, 1.0),  # the first without a new best
        (0.90, 0.5),  # the second: the best itself is no new best
        (0.92, 0.5),  # the first again
        (0.80, 0.5),  # the best
        (0.85, 0.5),
        (0.81, 0.25),
        (0.79, 0.25),
    ]
    state = advance(make(PLATEAU, 20, lrs=(2.0,)), 1)
    drops = []
    for loss, scale in table:
        drops += state.observe({"eval_loss": loss})
        assert (state.scales, state.lrs()) == ([scale], [2.0 * scale])
        state.advance()
    assert [(drop["kind"], drop["t"], drop["lr_before"], drop["lr_after"]) for drop in drops] == [
        ("plateau", 4, 2.0, 1.0),
        ("plateau", 8, 1.0, 0.5),
    ]
    assert [drop["cause"] for drop in drops] == ["eval_loss 0.9, the best was 0.9", "eval_loss 0.81, the best was 0.8"]


def test_a_plateau_counts_within_its_phase_only():
    state = make("hold(2) >> hold() * plateau(factor=0.5, patience=0)", 10)
    for update, is_active in ((0, False), (2, False), (3, True), (10, True)):
        state.advance_to(update)
        assert state.list_required_metrics() == (["eval_loss"] if is_active else [])
    state.advance_to(2)
    assert [state.observe({"eval_loss": loss}) for loss in (1.0, 2.0)] == [[], []] and state.lrs() == [1.0]


def test_an_evaluation_without_the_metric_changes_nothing():
    state = advance(make(f"{PLATEAU} * plateau(metric=f1, mode=max)", 8), 1)
    before = state.to_data()
    with pytest.raises(ScheduleError, match="f1"):
        state.observe({"eval_loss": 1.0})
    assert state.to_data() == before


def test_the_direction_of_a_metric_is_trainers():
    state = advance(make("hold() * plateau(metric=gain, factor=0.5, patience=0)", 8), 1)
    with pytest.raises(ScheduleError, match="whether more or less is better"):
        state.set_best_metric()
    state.set_best_metric("gain", greater_is_better=True)
    assert [len(state.observe({"eval_gain": gain})) for gain in (1.0, 2.0, 1.0)] == [0, 0, 1]


# ---- rescale() and the cooldown ----


def test_rescales_multiply_and_are_events():
    state = advance(make("linear()", 8, lrs=(1.0, 2.0)), 4)
    state.rescale(0.5, "a spike")
    assert state.rescale(3.0, "it is over") == {
        "kind": "scale",
        "cause": "it is over",
        "t": 4,
        "scale_before": 0.5,
        "scale_after": 1.5,
        "lr_before": 0.25,
        "lr_after": 0.75,
    }
    assert state.lrs() == [0.75, 1.5] and state.advance() == [0.5625, 1.125]
    assert [event["cause"] for event in state.events] == ["a spike", "it is over"] and state.num_events == 2


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_factor_that_is_not_above_0_is_refused(factor):
    state = make()
    with pytest.raises(ScheduleError, match="finite number above 0"):
        state.rescale(factor, "")
    assert state.scale == 1.0 and not state.events


def test_the_latest_events_are_kept_and_all_are_counted():
    state = make()
    for number in range(MAX_EVENTS + 3):
        state.rescale(1.0, str(number))
    assert [event["cause"] for event in state.events] == [str(3 + number) for number in range(MAX_EVENTS)]
    assert state.num_events == MAX_EVENTS + 3


def test_a_lower_scale_after_the_end_of_a_schedule_has_no_lr_to_lower():
    run = make()
    assert explain_rescale(run, run.rescale(0.5, "test")).endswith("(scale 1 to 0.5)")
    run.advance_to(8)
    assert not any(run.lrs())
    assert explain_rescale(run, run.rescale(0.5, "test")) == (
        "the schedule has ended at an LR of 0, so no LR is left to lower (scale 0.5 to 0.25)"
    )


def test_a_cooldown_that_begins_early():
    state = advance(make("hold() >> cooldown(4, shape=linear)", 20), 5)
    assert not state.is_cooling and state.end == 20
    event = state.start_cooldown("the time is up")
    assert (event["kind"], event["t"], event["planned"], event["cause"]) == ("cooldown", 5, 16, "the time is up")
    assert state.is_cooling and state.end == 9
    assert state.start_cooldown() is None and state.num_events == 1
    assert take_lrs(state, 5) == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_cooldown_that_begins_as_planned():
    state = advance(make("hold() >> cooldown(4, shape=linear)", 20), 16)
    assert state.is_cooling and state.start_cooldown() is None and state.end == 20


def test_without_a_cooldown_none_begins():
    with pytest.raises(ScheduleError, match="has no cooldown to begin"):
        make().start_cooldown()


# ---- as data ----


def test_owners_and_seconds_survive():
    old = make()
    old.owners["guard"], old.seconds = {"actions": 2.0}, 3.5
    new = read_state(old.to_data())
    assert (new.owners, new.seconds) == ({"guard": {"actions": 2.0}}, 3.5)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.integers(1, 9)),
        st.tuples(st.just("rescale"), st.floats(0.1, 10)),
        st.tuples(st.just("observe"), st.floats(-5, 5)),
        st.tuples(st.just("cool down"), st.none()),
    ),
    max_size=12,
)


def act(state, actions):
    for name, value in actions:
        if name == "advance":
            advance(state, value)
        elif name == "rescale":
            state.rescale(value, "a test")
        elif name == "observe":
            state.observe({"eval_loss": value})
        else:
            state.start_cooldown()
    return state


@settings(max_examples=15)
@given(ACTIONS, ACTIONS)
def test_a_run_goes_on_from_its_data_as_if_it_had_not_stopped(before, after):
    schedule = "(warmup(3) >> linear(to=0.2) >> cooldown(6)) * plateau(factor=0.5, patience=1)"
    stopped = act(make(schedule, 30, lrs=(1.0, 0.25)), before)
    data = json.loads(json.dumps(stopped.to_data()))
    read, unpickled = read_state(data), pickle.loads(pickle.dumps(stopped))
    assert read.to_data() == stopped.to_data()
    act(stopped, after)
    for other in (act(read, after), act(unpickled, after)):
        assert other.to_data() == stopped.to_data()
        assert [other.advance() for _ in range(9)] == [advance(stopped, 1).lrs() for _ in range(9)]
        stopped.advance_to(stopped.update - 9)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.25, 4)), max_size=8))
def test_the_lr_is_the_line_times_all_rescales(steps):
    state, expected = make("linear()", 40, lrs=(3.0,)), 3.0
    for updates, factor in steps:
        advance(state, updates).rescale(factor, "a test")
        expected *= factor
    assert state.lrs() == pytest.approx([expected * (1 - state.update / 40)])
