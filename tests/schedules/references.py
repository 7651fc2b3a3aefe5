"""Schedulers of transformers and torch, run beside ours."""

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

import hf_lrsched

quick = settings(max_examples=25, deadline=None, derandomize=True)


rates = st.floats(0, 1)


peaks = st.floats(1e-6, 10)


def an_optimizer(*peaks, default=None):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": peak} for peak in peaks]
    return torch.optim.SGD(groups, lr=peaks[0] if default is None else default)


def trace(make, updates, *peaks, **kwargs):
    """The LR of each group at each update: used by it, not written down after it."""
    optimizer = an_optimizer(*peaks, **kwargs)
    scheduler = make(optimizer)
    used = []
    for _ in range(updates):
        used.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return np.array(used)


def assert_same(ours, theirs, *peaks):
    assert np.abs(ours - theirs).max(initial=0) <= 1e-12 * max(peaks)


@st.composite
def runs(draw, longest=150, shortest=1):
    """(num_training_steps, num_warmup_steps): anything from no warmup to all but one update."""
    total = draw(st.integers(shortest, longest))
    return total, draw(st.integers(0, total - 1))


def ours(text, updates, *peaks, **horizon):
    return trace(lambda o: hf_lrsched.get_scheduler(text, o, num_training_steps=updates, **horizon), updates, *peaks)
