"""The demo data and the demos' configurations."""

import importlib.util

import pytest

from tests.recipe_runs import ROOT

DATA = ROOT / "examples" / "data"
DEMOS = {
    "demo_entities": "token_classification",
    "demo_questions": "question_answering",
    "demo_masked_lm": "masked_lm",
    "demo_pairs": "text_classification",
}


def test_generator_writes_the_committed_files(tmp_path):
    spec = importlib.util.spec_from_file_location("generate", DATA / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    generate.main(tmp_path)
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert len(written) == 8
    for name in written:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name
        assert (DATA / name.parent / "README.md").is_file()


@pytest.mark.parametrize("demo", DEMOS)
def test_demo_is_valid(demo, recipe, monkeypatch, tmp_path):
    """Its settings and data are; what it learns is seen by running it."""
    module = importlib.import_module(DEMOS[demo])
    from common.arguments import read_arguments

    (kind,) = [
        value
        for value in vars(module).values()
        if getattr(value, "__module__", "") == module.__name__ and hasattr(value, "readers")
    ]
    config = ROOT / "recipes" / "configs" / f"{demo}.yaml"
    arguments = read_arguments([str(config), "--output_dir", str(tmp_path)], kind)
    data = module.load_data(arguments.data, cache_dir=str(tmp_path))
    splits = data if isinstance(data, dict) else data.splits
    assert set(splits) == {"train", "validation"} and len(splits["train"]) >= 300


@pytest.mark.parametrize("script", sorted({*DEMOS.values()}))
def test_recipes_are_short(script):
    assert len((ROOT / "recipes" / f"{script}.py").read_text().splitlines()) <= 250
