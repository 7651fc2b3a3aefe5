"""UpdateLosses: one number per update, without waiting for the device."""

import torch

from hf_lrsched.optim.update_losses import UpdateLosses


class Device:
    """Stands for a CUDA event: it has arrived once `there` is set."""

    def __init__(self):
        self.there = False

    def query(self):
        return self.there

    def synchronize(self):
        self.there = True


def test_it_does_not_wait_for_losses():
    losses, event = UpdateLosses(), Device()
    losses._queue._waiting.append((1, torch.tensor(0.5), event))
    losses.add(torch.tensor(0.25))
    losses.end_update(2)
    assert losses.get() == []  # the first is still on its way, and the order is kept
    assert not event.there
    event.there = True
    assert losses.get() == [(1, 0.5), (2, 0.25)]


def test_a_record_waits_for_all():
    losses, event = UpdateLosses(), Device()
    losses._queue._waiting.append((1, torch.tensor(0.5), event))
    assert losses.get(wait=True) == [(1, 0.5)]
    assert event.there
