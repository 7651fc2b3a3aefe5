"""TroubleDetector: which dropped updates and which losses need an action."""

import pytest

from hf_lrsched.guard.trouble import TroubleDetector


def check(detector, dropped, is_scaled=False, are_finite=True):
    return [(each.since, each.needs_action) for each in detector.check_dropped(dropped, is_scaled, lambda: are_finite)]


def test_without_patience_each_dropped_update_needs_an_action():
    assert check(TroubleDetector(0, 0), [5]) == [(5, True)]


def test_patience_counts_updates_in_a_row():
    detector = TroubleDetector(1, 0)
    assert check(detector, [3]) == [(3, False)]
    assert check(detector, [5]) == [(5, False)]
    assert check(detector, [6]) == [(5, True)]


def test_nan_in_buffers_ends_the_patience():
    assert check(TroubleDetector(9, 0), [3], are_finite=False) == [(3, True)]


@pytest.mark.parametrize(("count", "expected"), [(20, []), (21, [(1, True)])])
def test_skips_of_the_loss_scaler_are_tolerated(count, expected):
    assert check(TroubleDetector(0, 0), [*range(1, count + 1)], is_scaled=True) == expected


def test_what_arrives_late_is_ignored():
    detector = TroubleDetector(0, 0)
    detector.reset(10)
    assert check(detector, [9, 10]) == []
    for update in range(1, 11):
        detector.add_loss(update, 1e9)
    assert detector.start is None


def test_a_spike():
    detector = TroubleDetector(0, 0)
    for update in range(1, 61):
        detector.add_loss(update, 2.0 if update <= 10 else 1.0 + update % 2 / 10)
    assert detector.check_losses(60, num_processes=1) is None
    for update in range(61, 70):
        detector.add_loss(update, 5.0)
    trouble = detector.check_losses(69, num_processes=1)
    assert (trouble.since, trouble.first_suspect, trouble.was_dropped) == (61, 60, False)
    detector.reset(69)
    assert detector.check_losses(70, num_processes=1) is None
