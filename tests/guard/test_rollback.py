"""Snapshots: what a checkpoint must hold, and what is restored."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hf_lrsched.guard.rollback import Rollback, Snapshot, UnusableCheckpointError, get_weights


class Tied(nn.Module):
    """Tied weights, a buffer, and a part that is not trained."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.outer = nn.Linear(3, 3, bias=False)
        self.outer.weight = self.inner.weight
        self.frozen = nn.Linear(3, 3)


def train(updates=3):
    torch.manual_seed(0)
    model = Tied()
    optimizer = torch.optim.AdamW([*model.inner.parameters(), *model.norm.parameters()], lr=0.1)
    for _ in range(updates):
        optimizer.zero_grad()
        model.outer(model.norm(model.inner(torch.randn(4, 3)))).square().sum().backward()
        optimizer.step()
    return model, optimizer


def save(folder, model, optimizer):
    """As Trainer writes a checkpoint, and the guard its file."""
    folder.mkdir()
    save_file(
        {"base.inner.weight": model.inner.weight.detach().clone()}, folder / "model.safetensors"
    )  # whatever it is
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    torch.save({}, folder / "scheduler.pt")
    torch.save({}, folder / "rng_state.pth")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 3}))
    Rollback(folder.parent, model, optimizer, update=0, margin=0).add_save(3, should_write=True)
    return folder


def copies(values):
    return {name: value.clone() for name, value in values.items()}


def test_load_and_restore(tmp_path):
    model, optimizer = train()
    folder = save(tmp_path / "checkpoint-3", model, optimizer)
    weights = copies(model.state_dict())
    moments = {parameter: copies(state) for parameter, state in optimizer.state.items()}
    weight = model.inner.weight

    optimizer.param_groups[0]["lr"] = 0.01
    for _ in range(2):
        optimizer.step()
    model.norm.running_mean.fill_(torch.nan)
    assert not torch.equal(weights["inner.weight"], model.inner.weight)

    Snapshot.load(folder).restore(model, optimizer)
    assert all(torch.equal(model.state_dict()[name], weights[name]) for name in weights)
    for parameter, state in moments.items():
        assert all(torch.equal(optimizer.state[parameter][name], value) for name, value in state.items())
    assert model.inner.weight is weight  # the optimizer's own
    assert model.outer.weight is weight
    assert optimizer.param_groups[0]["lr"] == 0.01


def test_only_what_training_changes_is_saved():
    model, optimizer = train()
    buffers = {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert get_weights(model, optimizer).keys() == {"inner.weight", "inner.bias", "norm.weight", "norm.bias", *buffers}


def test_a_snapshot_is_a_copy():
    model, optimizer = train()
    now = Snapshot.take(model, optimizer)
    kept = copies(now.weights)
    optimizer.step()
    assert all(torch.equal(now.weights[name], kept[name]) for name in kept)
    now.restore(model, optimizer)
    assert optimizer.state[model.inner.weight]["step"] == 3


def test_a_tensor_lr_stays_the_same_tensor():
    model, optimizer = train()
    lr = optimizer.param_groups[0]["lr"] = torch.tensor(0.5)
    Snapshot.take(model, optimizer).restore(model, optimizer)
    assert optimizer.param_groups[0]["lr"] is lr


def test_restore_the_state_before_the_first_update():
    model, optimizer = train(updates=0)
    start = Snapshot.take(model, optimizer)
    model.inner(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    start.restore(model, optimizer)
    assert dict(optimizer.state) == {}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("no optimizer", "it has no optimizer.pt"),
        ("no weights", "it has no guard.pt"),
        ("NaN weights", "it holds NaN or infinity"),
        ("infinite moments", "it holds NaN or infinity"),
        ("flipped bytes", "guard.pt is corrupted"),
        ("no such folder", "there is no such folder"),
    ],
)
def test_unusable_checkpoints(tmp_path, harm, message):
    model, optimizer = train()
    if harm == "NaN weights":
        model.norm.running_var[0] = torch.nan
    if harm == "infinite moments":
        optimizer.state[model.inner.bias]["exp_avg_sq"][1] = torch.inf
    folder = save(tmp_path / "checkpoint-3", model, optimizer)
    if harm == "no such folder":
        shutil.rmtree(folder)
    if harm == "no optimizer":
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            (folder / name).unlink()
    if harm == "no weights":
        (folder / "guard.pt").unlink()
    if harm == "flipped bytes":
        content = (folder / "guard.pt").read_bytes()
        weight = model.inner.weight.detach().numpy().tobytes()
        assert weight in content
        (folder / "guard.pt").write_bytes(content.replace(weight, weight[::-1]))
    with pytest.raises(UnusableCheckpointError, match=message):
        Snapshot.load(folder)


def test_a_file_that_cannot_be_written_is_no_checkpoint_to_go_back_to(tmp_path, caplog):
    model, optimizer = train()
    rollback = Rollback(tmp_path, model, optimizer, update=0, margin=0)
    rollback.add_save(3, should_write=True)  # there is no such folder
    assert "The guard cannot go back to" in caplog.text
    start = copies(model.state_dict())
    optimizer.step()
    assert rollback.go_back(9, 8, may_stay=False) == "back to the start, update 0"
    assert all(torch.equal(model.state_dict()[name], start[name]) for name in start)
