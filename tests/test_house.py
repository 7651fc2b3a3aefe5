"""The laws of the house: how long files and classes are, and how many names are public."""

import ast
from pathlib import Path

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


def test_each_module_has_a_test_file_at_its_place():
    tests = Path(__file__).parent
    modules = [path.relative_to(ROOT) for path in ROOT.rglob("*.py") if not path.name.startswith("_")]
    missing = {str(path) for path in modules if not (tests / path.parent / f"test_{path.name}").exists()}
    assert not missing
