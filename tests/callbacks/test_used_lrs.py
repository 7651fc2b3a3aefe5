"""UsedLRs: one entry for each curve, and the main group's LR as `learning_rate`."""

import torch

from hf_lrsched.callbacks.used_lrs import UsedLRs


def make_groups(*sizes_and_lrs, **options):
    return [
        {"params": [torch.nn.Parameter(torch.zeros(size))], "lr": lr, "name": name, **options}
        for name, size, lr in sizes_and_lrs
    ]


def test_groups_with_one_curve_have_one_entry():
    used = UsedLRs()
    groups = make_groups(("body", 9, 1.0), ("body_no_decay", 1, 1.0), ("head", 2, 3.0), ("head_no_decay", 1, 3.0))
    used.read(1, groups)
    assert used.values() == {"learning_rate": 1.0, "lr/body": 1.0, "lr/head": 3.0}


def test_groups_that_another_scheduler_separates_have_entries_of_their_own():
    used = UsedLRs()
    groups = make_groups(("body", 9, 1.0), ("head", 2, 1.0))
    used.read(1, groups)
    assert used.values() == {"learning_rate": 1.0}
    groups[1]["lr"] = 0.5
    used.read(2, groups)
    assert used.values() == {"learning_rate": 1.0, "lr/body": 1.0, "lr/head": 0.5}


def test_the_main_group_has_the_most_trained_parameters():
    used = UsedLRs()
    used.read(1, make_groups(("pooler", 2, 5.0), ("body", 50, 1.0)))
    assert used.values()["learning_rate"] == 1.0


def test_an_update_is_read_once():
    used = UsedLRs()
    groups = make_groups(("all", 2, 5.0))
    used.read(1, groups)
    groups[0]["lr"] = 4.0
    used.read(1, groups)
    assert used.values() == {"learning_rate": 5.0}
