"""warmup() and jump()."""

import pytest

from hf_lrsched.schedules import ScheduleError, jump, linear, parse, warmup


def test_warmup_between_lrs():
    curve = parse("warmup(4, start_lr=1e-6, to_lr=5e-5) >> hold()").resolve(6, peak=1e-4)
    assert [1e-4 * curve(t) for t in range(6)] == pytest.approx([1e-6 + t * 49e-6 / 4 for t in range(4)] + [5e-5] * 2)
    for text in ("warmup(4, start=0.1, start_lr=1e-6)", "warmup(4, to=0.5, to_lr=1e-6)"):
        with pytest.raises(ScheduleError, match=r"has both (start|to)=0.* and (start|to)_lr=1e-06; give one"):
            parse(text)
    with pytest.raises(ScheduleError, match=r"start_lr=1e-06 of warmup.* needs the peak LR"):
        (warmup(4, start_lr=1e-6) >> linear()).resolve(10)


def test_triangles_above_an_lr():
    """torch's CyclicLR(base_lr, max_lr, step_size_up=2)."""
    curve = parse("triangular(up=2, to_lr=1e-5)").resolve(8, peak=1e-4)
    assert [1e-4 * curve(t) for t in range(5)] == pytest.approx([1e-5, 5.5e-5, 1e-4, 5.5e-5, 1e-5])
    with pytest.raises(ScheduleError, match="is above its peak"):
        parse("triangular(up=2, to_lr=1e-3)").resolve(8, peak=1e-4)


def test_a_jump_takes_no_update():
    curve = parse("linear(over=50%) >> jump() >> linear()").resolve(8)
    assert [(part.text, part.start, part.end) for part in curve.parts] == [
        ("linear(over=50%)", 0, 4),
        ("linear()", 4, 8),
    ]
    assert curve.notes == ()
    assert "jump" not in curve.explain().split("\n", 1)[1]
    assert parse("hold(2) >> jump(to_lr=5e-5) >> hold()").resolve(4, peak=1e-4)([1, 2]).tolist() == [1, 0.5]
    with pytest.raises(ScheduleError, match=r"jump\(0.5\) takes no update"):
        jump(0.5).resolve(4)
