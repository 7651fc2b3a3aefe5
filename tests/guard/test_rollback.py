"""Snapshots: what a checkpoint must hold, and what is restored."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hf_lrsched.guard.rollback import Snapshot, UnusableCheckpointError, check_fit


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.outer = nn.Linear(3, 3, bias=False)
        self.outer.weight = self.inner.weight


def trained(updates=3):
    torch.manual_seed(0)
    model = Tied()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(updates):
        optimizer.zero_grad()
        model.outer(model.norm(model.inner(torch.randn(4, 3)))).square().sum().backward()
        optimizer.step()
    return model, optimizer


def checkpoint(folder, model, optimizer, weights=None, shards=False):
    """As Trainer writes one: tied weights once."""
    folder.mkdir()
    weights = (
        {name: w for name, w in model.state_dict().items() if name != "outer.weight"} if weights is None else weights
    )
    if shards:
        index = {}
        for number, part in ((1, "inner"), (2, "norm")):
            file = f"model-{number:05d}-of-00002.safetensors"
            shard = {name: weight for name, weight in weights.items() if name.startswith(part)}
            save_file(shard, folder / file)
            index |= dict.fromkeys(shard, file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    else:
        save_file(weights, folder / "model.safetensors")
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    torch.save({}, folder / "scheduler.pt")
    torch.save({}, folder / "rng_state.pth")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 3}))
    return folder


def copies(values):
    return {name: value.clone() for name, value in values.items()}


@pytest.mark.parametrize("shards", [False, True])
def test_load_and_restore(tmp_path, shards):
    model, optimizer = trained()
    folder = checkpoint(tmp_path / "checkpoint-3", model, optimizer, shards=shards)
    weights = copies(model.state_dict())
    moments = {parameter: copies(optimizer.state[parameter]) for parameter in model.parameters()}
    weight = model.inner.weight

    optimizer.param_groups[0]["lr"] = 0.01
    for _ in range(2):
        optimizer.step()
    model.norm.running_mean.fill_(torch.nan)
    assert not torch.equal(weights["inner.weight"], model.inner.weight)

    Snapshot.load(folder, model).restore(model, optimizer)
    assert all(torch.equal(model.state_dict()[name], weights[name]) for name in weights)
    for parameter, state in moments.items():
        assert all(torch.equal(optimizer.state[parameter][name], value) for name, value in state.items())
    assert model.inner.weight is weight  # the optimizer's own
    assert model.outer.weight is weight
    assert optimizer.param_groups[0]["lr"] == 0.01


def test_a_snapshot_is_a_copy():
    model, optimizer = trained()
    now = Snapshot.take(model, optimizer)
    kept = copies(now.weights)
    optimizer.step()
    assert all(torch.equal(now.weights[name], kept[name]) for name in kept)
    now.restore(model, optimizer)
    assert optimizer.state[model.inner.weight]["step"] == 3


def test_a_tensor_lr_stays_the_same_tensor():
    model, optimizer = trained()
    lr = optimizer.param_groups[0]["lr"] = torch.tensor(0.5)
    Snapshot.take(model, optimizer).restore(model, optimizer)
    assert optimizer.param_groups[0]["lr"] is lr


def test_restore_the_state_before_the_first_update():
    model, optimizer = trained(updates=0)
    start = Snapshot.take(model, optimizer)
    model.inner(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    start.restore(model, optimizer)
    assert dict(optimizer.state) == {}


@pytest.mark.parametrize("way", ["whole", "shards", "torch"])
def test_check_fit_reads_only_names_and_shapes(tmp_path, way):
    model, optimizer = trained()
    good = checkpoint(tmp_path / "checkpoint-3", model, optimizer, shards=way == "shards")
    weights = {name: w.clone() for name, w in model.state_dict().items() if name not in ("outer.weight", "norm.bias")}
    bad = checkpoint(
        tmp_path / "checkpoint-4", model, optimizer, {**weights, "norm.shift": torch.zeros(3)}, way == "shards"
    )
    if way == "torch":
        for folder, held in ((good, model.state_dict()), (bad, weights)):
            (folder / "model.safetensors").unlink()
            torch.save(held, folder / "pytorch_model.bin")
    check_fit(good, model)
    with pytest.raises(UnusableCheckpointError, match=r"its weights do not fit the model: norm\.bias is missing"):
        check_fit(bad, model)


@pytest.mark.parametrize(
    "harm", ["names", "shapes", "no optimizer", "NaN weights", "infinite moments", "no such folder"]
)
def test_unusable_checkpoints(tmp_path, harm):
    model, optimizer = trained()
    weights = {name: w.clone() for name, w in model.state_dict().items() if name != "outer.weight"}
    message = {
        "names": "its weights do not fit the model: inner.bias is missing",
        "shapes": "its weights do not fit the model: inner.bias is missing",
        "no optimizer": "it has no optimizer.pt",
        "NaN weights": "it holds NaN or infinity",
        "infinite moments": "it holds NaN or infinity",
        "no such folder": "there is no such folder",
    }[harm]
    if harm == "names":
        weights["inner.shift"] = weights.pop("inner.bias")
    if harm == "shapes":
        weights["inner.bias"] = torch.zeros(4)
    if harm == "NaN weights":
        weights["norm.running_var"][0] = torch.nan
    if harm == "infinite moments":
        optimizer.state[model.inner.bias]["exp_avg_sq"][1] = torch.inf
    folder = tmp_path / "checkpoint-3"
    if harm != "no such folder":
        checkpoint(folder, model, optimizer, weights)
    if harm == "no optimizer":
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            (folder / name).unlink()
    before = copies(model.state_dict())
    with pytest.raises(UnusableCheckpointError, match=message):
        Snapshot.load(folder, model)
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
