"""LRSearch: its text, its data, its plot."""

import json
import math

import pytest

from hf_lrsched import LRSearch, ScheduleError
from hf_lrsched.search import Probe


def make(**kwargs):
    probes = (
        Probe(5e-4, 100, 0.61, 0.7, seconds=2.0),
        Probe(2e-3, 100, math.nan, 0.3, seconds=2.0),
        Probe(4e-4, 200, 0.52, 0.8, seconds=4.0),
    )
    known = {"probes": probes, "exponent": 0.4, "start_loss": 0.7, "held_out": "512 samples of the evaluation set"}
    valleys = ({"updates": 100, "lr": 6e-4, "std": 0.7, "edge": 0},)
    return LRSearch(3e-4, 1.5e-4, 6e-4, 1600, 5e-5, **known, valleys=valleys, metric="accuracy", **kwargs)


def test_text():
    assert str(make(notes=("Something is uncertain.",))) == "\n".join(
        [
            "peak LR 0.0003 for 1,600 updates; plausible from 0.00015 to 0.0006",
            "found by 3 probes: 400 updates = 0.25 of the run, 8 s, scored on 512 samples of the evaluation set",
            "  updates    peak LR  held-out loss  accuracy",
            "      100     0.0005           0.61  0.7",
            "      100      0.002            nan  0.3",
            "      200     0.0004           0.52  0.8",
            "note: Something is uncertain.",
        ]
    )


def test_data_is_plain_and_read_back():
    search = make()
    data = json.loads(search.to_json())
    assert data["probes"][1]["loss"] is None  # JSON has no NaN
    again = LRSearch.from_json(search.to_json())
    assert again.to_data() == search.to_data()
    assert math.isnan(again.probes[1].loss) and again.probes[0] == search.probes[0]
    assert again.cost == 0.25 and again.seconds == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "corrupted: JSONDecodeError"),
        ("[]", "corrupted"),
        ("[" * 200_000, "corrupted: RecursionError"),
        ('{"version": 9}', "has version 9"),
        ('{"version": 1}', "corrupted: KeyError"),
    ],
)
def test_invalid_data(text, message):
    with pytest.raises(ScheduleError, match=message):
        LRSearch.from_json(text)


def test_plot():
    pytest.importorskip("matplotlib")
    (axes,) = make().plot().axes
    assert axes.get_xlabel() == "peak learning rate"
