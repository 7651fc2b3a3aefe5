"""DeviceQueue: numbers in order, each once, without waiting for the device."""

import torch

from hf_lrsched.optim.device_queue import DeviceQueue


class Event:
    """Stands for a CUDA event: its number has arrived once `has_arrived` is set, or when someone waits for it."""

    def __init__(self):
        self.has_arrived = False

    def query(self):
        return self.has_arrived

    def synchronize(self):
        self.has_arrived = True


def test_numbers_are_read_in_order_once_they_have_arrived():
    queue, event = DeviceQueue(), Event()
    queue._waiting.append((1, torch.tensor(0.5), event))
    queue.put(2, torch.tensor(0.25))
    assert queue.get() == []  # the first is still on its way
    assert not event.has_arrived
    event.has_arrived = True
    assert queue.get() == [(1, 0.5), (2, 0.25)]
    assert queue.get() == []


def test_with_a_delay_all_processes_read_at_the_same_update():
    queue, event = DeviceQueue(delay=2), Event()
    queue._waiting.append((1, torch.tensor(0.5), event))
    queue.put(2, torch.tensor(0.25))
    assert queue.get() == []
    queue.put(3, torch.tensor(0.125))
    assert queue.get() == [(1, 0.5)]  # waited for, so that no process is behind
    assert event.has_arrived
    assert queue.get(wait=True) == [(2, 0.25), (3, 0.125)]


class OtherDevice:
    """Stands for a number on a device without events."""

    device = torch.device("mps")

    def item(self):
        return 0.5


def test_other_devices_are_read_only_where_the_caller_waits():
    queue = DeviceQueue()
    for update in range(1, 65):
        queue.put(update, OtherDevice())
    assert queue.get() == []
    queue.put(65, OtherDevice())
    assert queue.get() == [(1, 0.5)]  # there are too many
    assert len(queue.get(wait=True)) == 64


def test_without_a_delay_nothing_waits():
    queue, event = DeviceQueue(), Event()
    for update in range(1, 60):
        queue._waiting.append((update, torch.tensor(0.5), event))
        assert queue.get() == []
    assert not event.has_arrived
    assert len(queue.get(wait=True)) == 59
