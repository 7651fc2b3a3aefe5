"""Stopwatch: the processes compare their clocks about twice a second."""

from types import SimpleNamespace

import pytest

from hf_lrsched.callbacks import stopwatch


@pytest.mark.parametrize("pace, every", [(1.0, 1), (0.1, 5), (0.001, 100)])
def test_processes_compare_their_clocks_twice_a_second(monkeypatch, pace, every):
    compared, wall = [], SimpleNamespace(now=100.0)
    monkeypatch.setattr(stopwatch, "on_main_process", lambda look: compared.append(wall.now / pace) or look())
    watch = stopwatch.Stopwatch(5.0, now=lambda: wall.now)
    seconds = []
    for _ in range(1000):
        wall.now += pace
        seconds.append(watch.after_update())
    assert seconds == pytest.approx([5 + pace * update for update in range(1, 1001)])  # between them, too
    assert compared[1] - compared[0] == pytest.approx(every, abs=1)
