"""What draw_resume draws: the data of its lines, not pixels."""

import sys

import pytest

from hf_lrsched import Horizon, ScheduleError
from hf_lrsched.trajectory.resume import resume_trajectory
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory

pytest.importorskip("matplotlib")
from hf_lrsched.plots.resume import draw_resume

OLD = RunSettings("linear()", Horizon(4, 2), (1.0,))
NEW = RunSettings("linear()", Horizon(8, 2), (1.0,))
PLANNED = "was planned: linear() over 4 updates"


def lines(axes):
    return {line.get_label(): ([*line.get_xdata()], [*line.get_ydata()]) for line in axes.get_lines()}


def drawn(how, t=2, new=NEW, **kwargs):
    trajectory = resume_trajectory(Trajectory(OLD), OLD, new, t, how)
    return draw_resume(Trajectory(OLD), trajectory, t, on_resume=how, end=new.horizon.num_updates, **kwargs)


# Each LR holds for one update, from u - 1 to u; the last one is there twice, so that its step has a width.
@pytest.mark.parametrize(
    ("how", "is_now", "lrs"),
    [
        ("keep", "linear() over 4 updates, then its last LR to update 8", [0.5, 0.25, 0, 0, 0, 0, 0]),
        (
            "stretch",
            "linear() over 4 updates, its rest from update 2 on stretched to update 8",
            [3 / 6, 2.5 / 6, 2 / 6, 1.5 / 6, 1 / 6, 0.5 / 6, 0.5 / 6],
        ),
        ("switch", "linear() over 8 updates", [6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 1 / 8]),
        # From 0.5 to the new curve's 4/8 at update 4, on a level; then along it.
        (
            "rewarm(2)",
            "linear() over 8 updates, from update 2 on reached in a straight line of 2 updates",
            [0.5, 0.5, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 1 / 8],
        ),
    ],
)
def test_planned_used_and_new_lrs(how, is_now, lrs):
    axes = drawn(how).axes[0]
    found = lines(axes)
    assert found[PLANNED] == ([0, 1, 2, 3, 4], [1, 0.75, 0.5, 0.25, 0.25])
    assert found["used up to update 2"] == ([0, 1, 2], [1, 0.75, 0.75])
    updates, values = found[f"from there on: {is_now}"]
    assert updates == [2, 3, 4, 5, 6, 7, 8]
    assert values == pytest.approx(lrs, abs=1e-12)
    assert all(line.get_drawstyle() == "steps-post" for line in axes.get_lines() if len(line.get_xdata()) > 2)
    assert next(line.get_label() for line in axes.get_lines() if line.get_linestyle() == "--") == PLANNED
    assert [line.get_linestyle() for line in axes.get_lines() if line.get_label() in list(found)[1:3]] == ["-", "-"]


def test_titles_and_labels():
    figure = drawn("switch")
    axes = figure.axes[0]
    assert figure.get_suptitle() == "Resumed after update 2 with on_resume='switch'"
    assert axes.get_title(loc="left") == "next LR: 5e-1 was planned, 7.5e-1 is used"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("update (optimizer step)", "learning rate")
    assert [child.get_xlabel() for child in axes.child_axes] == ["epoch"]
    assert len(figure.legends[0].get_texts()) == 3


def test_a_vertical_line_and_both_lrs_at_the_resume():
    points = [(x, y) for x, y in lines_without_words(drawn("switch").axes[0]) if len(set(x)) == 1]
    assert points == [([2], [0.5]), ([2], [0.75]), ([2, 2], [0, 1])]


def lines_without_words(axes):
    return [([*x.get_xdata()], [*x.get_ydata()]) for x in axes.get_lines() if x.get_label().startswith("_")]


def test_checkpoint_of_another_scheduler():
    found = lines(draw_resume([0.125], Trajectory(NEW), 4).axes[0])
    assert found["the checkpoint's LR, whose curve is not known"] == ([4], [0.125])
    assert found["from there on: linear() over 8 updates"] == ([4, 5, 6, 7, 8], [0.5, 0.375, 0.25, 0.125, 0.125])
    assert not any(label.startswith(("was planned", "used")) for label in found)


def test_old_trajectory_is_drawn_from_the_last_replacement():
    found = lines(draw_resume(Trajectory(OLD), Trajectory(NEW), 3, since=1).axes[0])
    assert found["used up to update 3"] == ([1, 2, 3], [0.75, 0.5, 0.5])
    assert found[PLANNED][0] == [1, 2, 3, 4]


def test_drops_of_a_plateau():
    """Halved from update 2 on; the new curve goes on at half of it."""
    found = lines(draw_resume(Trajectory(OLD), Trajectory(NEW), 3, drops=[(1, 0.5)], scales=[0.5]).axes[0])
    assert found["used up to update 3"] == ([0, 1, 2, 3], [1, 0.375, 0.25, 0.25])
    assert found[PLANNED][1] == [1, 0.375, 0.25, 0.125, 0.125]
    assert found["from there on: linear() over 8 updates"][1][:2] == [0.5 * 5 / 8, 0.5 * 4 / 8]


def test_drops_are_those_of_the_groups_with_the_plateau():
    own = ("linear()", None)
    old, new = (RunSettings("linear() * plateau()", Horizon(n), (1.0, 0.5), own) for n in (4, 8))
    figure = draw_resume(Trajectory(old), Trajectory(new), 2, drops=[(1, 0.5)], names=["embeddings", "encoder"])
    assert figure.axes[0].get_title(loc="left") == "embeddings: next LR: 5e-1 was planned, 7.5e-1 is used"
    assert lines(figure.axes[0])["used up to update 2"][1][:2] == [1, 0.75]


def test_schedule_that_counts_seconds():
    old, new = (RunSettings("linear()", Horizon(seconds, unit="seconds"), (1.0,)) for seconds in (60, 120))
    axes = draw_resume(Trajectory(old), Trajectory(new), 30.5).axes[0]
    assert axes.get_xlabel() == "seconds"
    found = lines(axes)
    assert found["used up to 30.5 seconds"][1][:2] == pytest.approx([1, 59 / 60])
    updates, lrs = found["from there on: linear() over 120 seconds"]
    assert (updates[0], updates[-1]) == (30.5, 120)
    assert lrs[0] == pytest.approx(1 - 30.5 / 120)


@pytest.mark.parametrize("t", [0, 4, 6])
def test_at_the_beginning_at_the_end_and_past_it(t):
    found = lines(draw_resume(Trajectory(OLD), Trajectory(NEW), t).axes[0])
    assert found[f"used up to update {t}"][0] == ([*range(t + 1)] if t else [])
    assert found["from there on: linear() over 8 updates"][0] == [*range(t, 9)]


def test_resume_before_the_last_update():
    assert drawn("switch", t=2, new=RunSettings("linear()", Horizon(3, 2), (1.0,))).get_suptitle().startswith("Resumed")


def test_resume_at_the_end():
    new = Trajectory(RunSettings("linear()", Horizon(3, 2), (1.0,)))
    assert draw_resume(Trajectory(OLD), new, 3).get_suptitle() == "Resumed after update 3"


def test_groups_of_one_shape_are_drawn_once():
    groups = {"peaks": (1.0, 0.1, 0.0)}
    figure = draw_resume(
        Trajectory(settings("linear()", 4, **groups)), Trajectory(settings("linear()", 8, **groups)), 2
    )
    assert len(figure.axes) == 1
    assert figure.axes[0].get_title(loc="left").startswith("group_0: next LR")


def test_up_to_three_groups_of_different_shapes():
    """An absolute floor is another share of each peak."""
    old, new = (settings("linear(to_lr=0.01)", updates, peaks=(1.0, 0.1, 1.0, 0.2, 0.3)) for updates in (4, 8))
    figure = draw_resume(Trajectory(old), Trajectory(new), 2, names=["encoder", "head", "again", "third", "fourth"])
    titles = [axes.get_title(loc="left").split(":")[0] for axes in figure.axes]
    assert titles == ["encoder", "head", "third"]
    assert lines(figure.axes[1])["used up to update 2"][1] == pytest.approx([0.1, 0.1 - 0.09 / 4, 0.1 - 0.09 / 4])


def settings(schedule, updates, peaks):
    return RunSettings(schedule, Horizon(updates, 2), peaks)


def test_another_number_of_groups_is_refused():
    with pytest.raises(ScheduleError, match="from 2 parameter groups to 1"):
        draw_resume([0.1, 0.2], Trajectory(NEW), 2)


def test_no_text_is_cut_or_overlaps():
    text = "floor(warmup(500) >> hold(1000) >> cosine(to=0.5, over=1000) >> one_minus_sqrt(), to_lr=0.000001)"
    old, new = (settings(text, updates, peaks=(2e-5, 1e-4, 2e-6)) for updates in (5000, 8000))
    figure = draw_resume(
        Trajectory(old), resume_trajectory(Trajectory(old), old, new, 2600, "stretch"), 2600, on_resume="stretch"
    )
    figure.draw_without_rendering()
    words = [figure._suptitle, *(axes._left_title for axes in figure.axes), *figure.legends[0].get_texts()]
    words += [axes.xaxis.label for axes in figure.axes if axes.get_xlabel()]
    words += [axes.yaxis.label for axes in figure.axes] + [figure.axes[0].child_axes[0].xaxis.label]
    boxes = [word.get_window_extent() for word in words]
    page = figure.bbox
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_long_runs_are_downsampled():
    found = lines(
        draw_resume(
            Trajectory(settings("linear()", 10**6, (1.0,))), Trajectory(settings("linear()", 2 * 10**6, (1.0,))), 10**5
        ).axes[0]
    )
    for updates, _ in found.values():
        assert len(updates) <= 10_001
    updates, lrs = found["was planned: linear() over 1000000 updates"]
    assert lrs[:-1] == pytest.approx([1 - update / 1e6 for update in updates[:-1]])


def test_saved_without_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    drawn("switch", path=tmp_path / "resume.png")
    assert (tmp_path / "resume.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "hf-lrsched\[plot\]"'):
        drawn("switch")
