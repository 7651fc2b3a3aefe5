"""The laws of the house: how long files and classes are, and how many names are public."""

import ast
import inspect
import pkgutil
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import pytest

import hf_lrsched

ROOT = Path(hf_lrsched.__file__).parent
MAX_FILE, MAX_CLASS, MAX_NAMES = 450, 250, 50


def test_files_and_classes_are_short():
    too_long = {}
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lengths = {path.name: len(text.splitlines())}
        classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
        lengths |= {node.name: node.end_lineno - node.lineno + 1 for node in classes}
        limits = {name: MAX_FILE if name == path.name else MAX_CLASS for name in lengths}
        too_long |= {f"{path.name}: {name}": n for name, n in lengths.items() if n > limits[name]}
    assert not too_long


def test_public_names_are_few_and_documented():
    assert len(set(hf_lrsched.__all__)) == len(hf_lrsched.__all__) <= MAX_NAMES
    assert [name for name in hf_lrsched.__all__ if not getattr(hf_lrsched, name).__doc__] == []


API = re.findall(r"^::: (\S+)", (ROOT.parent / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)
#: Their arguments are described at ScheduleMixin and Trainer; Schedule is made by its phases.
ARGUMENTS_ELSEWHERE = {"hf_lrsched.Schedule", "hf_lrsched.ScheduledTrainer"}
DESCRIBED = {*API, *(f"hf_lrsched.{name}" for name in hf_lrsched.__all__)} - ARGUMENTS_ELSEWHERE


@pytest.mark.parametrize("name", sorted(DESCRIBED))
def test_docstring_has_each_argument_and_its_default(name):
    named = pkgutil.resolve_name(name)
    block = inspect.getdoc(named).partition("Args:\n")[2].partition("\n\n")[0]
    described = dict(re.findall(r"^ {4}(\w+) \((.*?)\): ", block, re.MULTILINE))
    arguments = inspect.signature(named).parameters.values()
    arguments = [each for each in arguments if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    assert list(described) == [each.name for each in arguments]
    made = {each.name: each.default_factory for each in fields(named)} if is_dataclass(named) else {}
    for each in arguments:
        text, default = described[each.name], each.default
        if made.get(each.name, MISSING) is not MISSING:
            default = made[each.name]()
        if stated := re.search(r"defaults to `?(.*?)`?$", text):
            assert read_default(stated[1]) == read_default(str(default)), each.name
        else:
            assert default in ((None, "") if "*optional*" in text else (inspect.Parameter.empty,)), each.name


def read_default(text):
    """`0` and `0.0`, `1e-4` and `0.0001`, `[a, b]` and `('a', 'b')` are equal."""
    text = re.sub(r"['\"()\[\]]", "", text.replace("1,000,000", "1000000"))
    try:
        return repr(float(text))
    except ValueError:
        return text


def test_phases_are_functions_so_that_editors_show_their_arguments_and_docstrings():
    phases = [each for name, each in vars(hf_lrsched.schedules).items() if name in hf_lrsched.schedules.registry.NAMES]
    assert len(phases) > 30
    for each in phases:
        assert inspect.isfunction(inspect.unwrap(each)), each.__name__


def test_each_module_has_a_test_file_at_its_place():
    tests = Path(__file__).parent
    modules = [path.relative_to(ROOT) for path in ROOT.rglob("*.py") if not path.name.startswith("_")]
    missing = {str(path) for path in modules if not (tests / path.parent / f"test_{path.name}").exists()}
    assert not missing
