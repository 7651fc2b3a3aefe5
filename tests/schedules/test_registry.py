"""Phases, their arguments and the names of the language."""

import copy
import importlib
from pathlib import Path

import pytest

import hf_lrsched.schedules as ls
import hf_lrsched.schedules as schedules
from hf_lrsched.schedules import (
    FactorArgument,
    LengthArgument,
    Schedule,
    linear,
    parse,
    phase,
    register,
    repeat,
    step,
    warmup,
)

from . import test_presets, test_schedule
from .helpers import refused


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: linear(too=1), "linear() has no argument 'too'; allowed are to, to_lr, over. Did you mean 'to'?"),
        (lambda: linear(end=1), "linear() has no argument 'end'; allowed are"),
        (lambda: warmup(5, shpae="cosine"), "Did you mean 'shape'?"),
        (lambda: warmup(stpes=5), "warmup() has no argument 'stpes'"),
        (lambda: repeat(linear(), cylces=2), "Did you mean 'cycles'?"),
        (lambda: ls.bert(warmpu=5), "bert() has no argument 'warmpu'; allowed are warmup, to. Did you mean 'warmup'?"),
        (lambda: ls.wsd(cool_down=5), "Did you mean 'cooldown'?"),
        (lambda: warmup(), "warmup() needs 'over'"),
        (lambda: step(), "step() needs 'every'"),
        (lambda: warmup(5, over=6), "warmup() got 'over' twice"),
        (lambda: warmup(5, 0.1), "warmup(): only over goes without a name, got 0.1"),
        (lambda: linear(0.1), "linear(): no argument goes without a name, got 0.1"),
        (lambda: ls.bert(5), "bert(): no argument goes without a name"),
    ],
)
def test_names_of_arguments(make, said):
    refused(make, said)


def test_registered_phases(own_names):
    @phase
    def bowl(*, depth: FactorArgument = 1.0, over: LengthArgument | None = None):
        return lambda span: lambda u: span.level * (1 - depth * (u / span.size) ** 2)

    schedule = warmup(2) >> bowl(depth="75%")
    assert schedule.resolve(6)([0, 1, 2, 4, 6]) == pytest.approx([0, 0.5, 1, 0.8125, 0.25])
    assert str(schedule) == "warmup(2) >> bowl(depth=0.75)"
    assert parse(str(schedule)) == schedule == copy.deepcopy(schedule)
    refused(lambda: bowl(depht=1), "Did you mean 'depth'?")


@pytest.mark.parametrize("name", ["linear", "bert", "repeat"])
def test_names_that_are_taken(own_names, name):
    refused(lambda: register(name, "cosine()"), f"the name {name!r} is taken")
    assert str(parse("linear()")) == "linear()"


@pytest.mark.parametrize("name", ["", "a b", "1st", "a-b", "naïve", "a.b", "a()", "x" * 3 + "\n"])
def test_invalid_names(own_names, name):
    refused(lambda: register(name, "cosine()"), "a schedule's name must be letters, digits and '_'")


FAMILIES = [
    importlib.import_module(f"{__package__}.families.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("families/test_*.py"))
]
TEXTS = [row[0] for module in (*FAMILIES, test_presets, test_schedule) for row in getattr(module, "TABLE", ())]


def test_every_phase_and_named_schedule_has_a_table():
    public = {name for name in schedules.__all__ if name.islower() and callable(getattr(schedules, name))}
    others = {"as_length", "from_data", "from_transformers", "named", "parse", "phase", "register", "to_data"}
    in_tables = {name for name in public - others if any(f"{name}(" in text for text in TEXTS)}
    assert public - others - {"custom"} == in_tables  # families/test_custom.py has custom()


def test_tables_are_of_schedules():
    assert all(isinstance(parse(text), Schedule) for text in TEXTS)
