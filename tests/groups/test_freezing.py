"""Groups that are frozen for a while or throughout."""

import pytest

from hf_lrsched import ScheduleError, freeze_groups, gradual_unfreezing, parse


def named(*names, **options):
    """Groups without parameters, for what only looks at names."""
    return [{"name": name, "params": [], "lr": 1.0, **options} for name in names]


LAYERWISE = ("head", "head/no_decay", "layer_11", "layer_11/no_decay", "layer_2", "embeddings", "embeddings/no_decay")


def test_unfreezing_from_the_head_down():
    """Epoch 1: the head alone; each epoch one more, the embeddings last: the factors of 5 epochs of 4 updates."""
    groups = gradual_unfreezing(named(*reversed(LAYERWISE)), "linear()", every="1ep")
    assert [group["name"] for group in groups] == [*reversed(LAYERWISE)]
    thaw = {"head": 0, "layer_11": 4, "layer_2": 8, "embeddings": 12}
    for group in groups:
        curve = parse(group.get("schedule", "linear()")).resolve(20, 4)
        first = thaw[group["name"].removesuffix("/no_decay")]
        assert [curve(t) for t in range(20)] == pytest.approx([0 if t < first else 1 - t / 20 for t in range(20)])
    assert "schedule" not in groups[-1]  # the head follows the main schedule


@pytest.mark.parametrize(
    ("every", "texts"),
    [
        (50, ["freeze(50)", "freeze(100)"]),
        ("0.5ep", ["freeze(0.5ep)", "freeze(1ep)"]),
        ("10%", ["freeze(10%)", "freeze(20%)"]),
        (0.1, ["freeze(10%)", "freeze(20%)"]),
        ("1000sa", ["freeze(1000sa)", "freeze(2000sa)"]),
    ],
)
def test_lengths_of_unfreezing(every, texts):
    groups = gradual_unfreezing(named("head", "layer_0", "embeddings"), "cosine()", every)
    assert [group.get("schedule") for group in groups] == [None, *(f"cosine() * {text}" for text in texts)]


def test_unfreezing_in_a_given_order():
    names = ["backbone", "backbone/no_decay", "neck", "top", "top/no_decay"]
    groups = gradual_unfreezing(named(*names), "linear()", "1ep", order=["top", "neck", "backbone"])
    assert {group["name"]: group.get("schedule") for group in groups} == {
        "top": None,
        "top/no_decay": None,
        "neck": "linear() * freeze(1ep)",
        "backbone": "linear() * freeze(2ep)",
        "backbone/no_decay": "linear() * freeze(2ep)",
    }


def test_unfreezing_multiplies_the_schedule_of_the_group():
    groups = [*named("head"), *named("layer_0", schedule="warmup(5) >> hold()")]
    assert gradual_unfreezing(groups, "linear()")[1]["schedule"] == "(warmup(5) >> hold()) * freeze(1ep)"
    assert groups[1]["schedule"] == "warmup(5) >> hold()"  # what was given stays as it is


def test_freeze_groups():
    groups = freeze_groups(named(*LAYERWISE), ["embeddings", "layer_2"])
    frozen = {group["name"] for group in groups if "schedule" in group}
    assert frozen == {"embeddings", "embeddings/no_decay", "layer_2"}
    curve = parse(groups[-1]["schedule"]).resolve(7)
    assert [curve(t) for t in range(9)] == [0] * 9


INVALID_ORDERS = {
    "unknown": (named("head", "layer_1"), ["head", "layer1"], "no group 'layer1', only .*Did you mean 'layer_1'"),
    "twice": (named("head", "layer_1"), ["head", "layer_1", "head"], "'head' is listed twice"),
    "twice by its stem": (
        named("head", "layer_1", "layer_1/no_decay"),
        ["head", "layer_1", "layer_1/no_decay"],
        "'layer_1/no_decay' is listed twice: by 'layer_1' and by 'layer_1/no_decay'",
    ),
    "left out": (named("head", "layer_1", "embeddings"), ["head", "layer_1"], "order leaves out 'embeddings'"),
    "a text": (named("head"), "head", "names of groups are a list"),
    "no name": ([{"params": []}], ["head"], "group 0 has no name"),
    "no name, no order": ([*named("head"), {"params": []}], None, "group 1 has no name"),
    "same names": (named("head", "head"), None, "2 parameter groups are called 'head'"),
    "other names": (named("head", "neck"), None, "position of the group 'neck' is not known.*order="),
    "no head": (named("layer_1", "layer_0"), None, "no group 'head'"),
}


@pytest.mark.parametrize("case", INVALID_ORDERS)
def test_invalid_orders(case):
    groups, order, message = INVALID_ORDERS[case]
    with pytest.raises(ScheduleError, match=message):
        gradual_unfreezing(groups, "linear()", order=order)


@pytest.mark.parametrize(
    ("every", "message"),
    [
        ("1epoch", "every has the unknown unit"),
        (0, "every must be above 0"),
        ("50%", "would be unfrozen after 100% of the run: 2 times every=50%"),
    ],
)
def test_invalid_intervals(every, message):
    with pytest.raises(ScheduleError, match=message):
        gradual_unfreezing(named("head", "layer_0", "embeddings"), "linear()", every)


def test_invalid_freezing():
    groups = named("head", "embeddings")
    with pytest.raises(ScheduleError, match="leaves nothing to train"):
        freeze_groups(groups, ["head", "embeddings"])
    with pytest.raises(ScheduleError, match=r"no group 'embedings'.*Did you mean 'embeddings'"):
        freeze_groups(groups, ["embedings"])
