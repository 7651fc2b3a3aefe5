"""FSDP: the LR of every update on each process, in Trainer and in a user's loop.

accelerate does not shard on a CPU. The scripts make it believe that there are GPUs, and torch then shards over gloo.
"""

from pathlib import Path

import pytest

from tests.processes import launched

PEAK = 1e-3
SPEC = "warmup(25%) >> linear()"
RUN = Path(__file__).parent / "fsdp_run.py"
LOOP = Path(__file__).parent / "fsdp_loop.py"


def ramp(warm, updates, peak=PEAK):
    """Return the LRs of `warmup(warm) >> linear()`, by its formula."""
    return [peak * (t / warm if t < warm else (updates - t) / (updates - warm)) for t in range(updates)]


def near(expected):
    return pytest.approx(expected, rel=0, abs=1e-12 * PEAK)


def options(tmp_path, **more):
    arguments = {"output_dir": str(tmp_path / "out")} | more.pop("arguments", {})
    return {"arguments": arguments, "schedule": SPEC} | more


@pytest.mark.slow
def test_lr_used_and_resume(tmp_path):
    saves = {"save_strategy": "steps", "save_steps": 4, "eval_strategy": "epoch"}
    whole = launched(RUN, options(tmp_path, arguments=saves), processes=2)
    assert sorted((each["rank"], each["processes"], each["parameter"]) for each in whole) == [
        (0, 2, "DTensor"),
        (1, 2, "DTensor"),
    ]
    for each in whole:  # 24 samples, two processes with batches of 4, two epochs
        assert [lrs[0] for lrs in each["used"]] == near(ramp(2, 6))
        assert each["logged"] == near(ramp(2, 6))
        assert each["evaluated"] == near([PEAK, PEAK / 4])
    again = {"resume": str(tmp_path / "out/checkpoint-4")}
    for resumed in launched(RUN, options(tmp_path, arguments=saves, **again), processes=2):
        assert [lrs[0] for lrs in resumed["used"]] == near(ramp(2, 6)[4:])
        assert resumed["weights"] == whole[0]["weights"][4:]
    error = launched(RUN, options(tmp_path, arguments={"num_train_epochs": 3}, **again), processes=2)
    assert "num_updates was 6 and is 9" in error


@pytest.mark.slow
def test_groups_and_freezing(tmp_path):
    """The schedules of the groups hold, and the weights equal those of a run without sharding."""
    sharded = launched(RUN, options(tmp_path, schedule="linear()", freeze=True), processes=2)
    plain = launched(RUN, options(tmp_path, schedule="linear()", freeze=True, fsdp=False), processes=2)
    assert (sharded[0]["parameter"], plain[0]["parameter"]) == ("DTensor", "Parameter")
    # Every process measures the steps of complete weights, and finds the same. No process measures those of shards.
    assert [each["steps"] for each in sharded] == [[], []]
    measured = {each["rank"]: dict(each["steps"]) for each in plain}
    assert measured[1] == measured[0] and measured[0]["step"] == 6 and measured[0]["update_ratio/head"] > 0
    decay = ramp(0, 6)
    for each in sharded:
        assert [lrs[1] for lrs in each["used"]] == near(decay)
        assert [lrs[0] for lrs in each["used"]] == near([0, 0, 0, *decay[3:]])
        encoder, head = zip(*each["weights"], strict=True)
        assert (len(set(encoder[:3])), len(set(encoder)), len(set(head))) == (1, 4, 6)
        for mine, other in zip(each["weights"], plain[0]["weights"], strict=True):
            assert mine == pytest.approx(other, rel=1e-5)


@pytest.mark.slow
def test_trainer_refuses_a_given_optimizer(tmp_path):
    error = launched(RUN, options(tmp_path, optimizers=True), processes=2)
    assert "Passing `optimizers` is not allowed if PyTorch FSDP is enabled" in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "parameter"), [("fully_shard", "DTensor"), ("FullyShardedDataParallel", "Parameter")], ids=str
)
def test_loop_of_a_user(kind, parameter):
    for each in launched(LOOP, kind, processes=2):
        assert each["parameter"] == parameter and each["model"].startswith(("FSDP", "FullySharded"))
        assert each["used"] == pytest.approx(ramp(2, 8, 1e-2), rel=1e-12)
