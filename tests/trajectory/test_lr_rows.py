"""LRRows: each update has the row that was computed for it, however the updates are visited."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched.trajectory.lr_rows import BLOCK, LRRows


class Reader:
    """Read rows in which group g of update t has the LR t + g / 1000; count the blocks that are computed."""

    def __init__(self, groups):
        self.rows, self.groups, self.blocks = LRRows(), groups, 0

    def __call__(self, update):
        return self.rows.get(update) or self.rows.read(update, lambda: self.compute(update))

    def compute(self, update):
        self.blocks += 1
        return np.arange(update, update + BLOCK)[:, None] + np.arange(self.groups) / 1000


@settings(max_examples=25)
@given(st.lists(st.integers(0, 5 * BLOCK), max_size=30), st.sampled_from([1, 3, 40]))
def test_any_order_of_updates_reads_the_row_of_each(updates, groups):
    read = Reader(groups)
    for update in updates:
        assert read(update) == pytest.approx([update + group / 1000 for group in range(groups)])


@pytest.mark.parametrize("groups", [1, 28, 2000])
def test_a_run_computes_a_block_once(groups):
    read = Reader(groups)
    for update in range(2 * BLOCK):
        read(update)
    assert read.blocks == 2


def test_memory_is_bounded():
    read = Reader(2000)
    read(0)
    assert len(read.rows) <= 8  # of many groups a few rows, not a whole block
