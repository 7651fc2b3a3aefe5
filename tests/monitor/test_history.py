"""LossHistory: what is kept of a run's losses, by hand and in constant memory."""

import random
import statistics

import pytest

from hf_lrsched.monitor.history import NUM_BLOCKS, Evaluation, LossHistory


def fill(num_updates, losses, lr=lambda update: 1.0, **kwargs):
    history = LossHistory(num_updates, **kwargs)
    for update, loss in enumerate(losses, history.updates_done + 1):
        history.add_loss(update, loss, lr(update))
    return history


def test_blocks_by_hand():
    # 240 updates in 40 blocks: 6 each. Median, median absolute deviation * 1.4826, mean of the LRs.
    history = LossHistory(240)
    ends = [history.add_loss(update, float(update**2), update / 10) for update in range(1, 15)]
    assert [update for update, ended in enumerate(ends, 1) if ended] == [6, 12]
    first, second = history.blocks
    assert (first.start, first.end, first.count, second.start, second.end) == (1, 6, 6, 7, 12)
    assert (first.loss, first.lr) == (12.5, pytest.approx(0.35))  # of 1 4 9 16 25 36
    assert first.spread == pytest.approx(1.4826 * 10, rel=1e-4)  # deviations of 3.5 3.5 8.5 11.5 12.5 23.5


def test_a_short_run_has_blocks_of_five_updates():
    assert [(block.start, block.end) for block in fill(20, [1.0] * 12).blocks] == [(1, 5), (6, 10)]


def test_a_resumed_run_begins_its_blocks_after_the_checkpoint():
    assert [(block.start, block.end) for block in fill(20, [1.0] * 5, updates_done=7).blocks] == [(8, 12)]


def test_a_record_of_many_updates_fills_blocks_by_updates():
    history = LossHistory(400)  # blocks of 10 updates, records of 5
    for update in range(5, 41, 5):
        history.add_loss(update, 1.0, 1.0)
    assert [(block.start, block.end, block.count) for block in history.blocks] == [
        (1, 10, 2),
        (11, 20, 2),
        (21, 30, 2),
        (31, 40, 2),
    ]


def test_the_highest_lr_and_the_update_that_reached_it_first():
    history = fill(20, [1.0] * 6, lr=lambda update: min(update, 3) / 3)
    assert (history.max_lr, history.max_lr_update, history.lr) == (1.0, 3, 1.0)


def test_the_sum_of_the_lrs_counts_the_part_of_a_block():
    history = fill(20, [1.0] * 10, lr=lambda update: 0.5 if update <= 5 else 1.0)
    assert [history.sum_lr(update) for update in (0, 2, 5, 7, 10)] == [0, 1.0, 2.5, 4.5, 7.5]


@pytest.mark.parametrize(
    ("losses", "evaluation", "start"),
    [
        ([2.0, 3.0, 4.0, 3.0, 3.0], None, 2.0),  # the first is the lowest
        ([5.0, 2.0, 2.0, 2.0, 4.0], None, 2.0),  # the median is
        ([2.0, 3.0, 4.0, 3.0, 3.0], 2.5, 2.5),  # an evaluation above: that one
        ([2.0, 3.0, 4.0, 3.0, 3.0], 9.0, 3.0),  # but not above the mean
        ([1.0, 9.0, 9.0, 9.0, 9.0], 9.0, 2.0),  # nor above twice the lowest
    ],
)
def test_the_start_by_hand(losses, evaluation, start):
    history = fill(100, losses)
    if evaluation is not None:
        history.evaluations.append(Evaluation(0, evaluation))
    assert history.start == start


def test_noise_and_standard_error_of_normal_losses():
    draw = random.Random(0)
    history = fill(2000, [draw.gauss(1.0, 0.2) for _ in range(2000)])
    assert history.noise == pytest.approx(0.2, rel=0.1)
    # Of 50 losses of a block, whose median errs by 1.25 * 0.2 / sqrt(50) = 0.035.
    assert history.standard_error == pytest.approx(0.035, rel=0.15)
    assert statistics.stdev(block.loss for block in history.blocks) == pytest.approx(history.standard_error, rel=0.35)


def test_the_share_that_is_over_is_that_of_the_clock_that_is_ahead():
    history = fill(100, [1.0] * 25)
    assert history.share_done == 0.25
    history.clock_share = 0.5
    assert history.share_done == 0.5
    history.clock_share = 3.0
    assert history.share_done == 1.0


def test_an_evaluation_before_the_first_update_is_no_validation():
    history = fill(100, [1.0])
    history.evaluations.extend([Evaluation(0, 1.0), Evaluation(5, 0.5)])
    assert [each.update for each in history.validation] == [5]


def test_memory_is_constant():
    history = LossHistory(40_000)
    for update in range(1, 40_001):
        history.add_loss(update, 1.0, 1.0)
        assert len(history._losses) <= 64
    history.evaluations.extend(Evaluation(update, 1.0) for update in range(1000))
    assert (len(history.blocks), len(history.first), len(history.evaluations)) == (NUM_BLOCKS, 5, 64)
