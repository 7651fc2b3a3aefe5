"""The schedules are light: importing them brings in neither torch nor transformers. Every name can be had."""

import importlib
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "accelerate", "datasets", "matplotlib", "pandas")


def find_heavy(code):
    """Return the list of the heavy libraries that a process has imported after some code, as text."""
    check = f"import sys; {code}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "code",
    [
        "import hf_lrsched.schedules",
        "import hf_lrsched",
        "import hf_lrsched; hf_lrsched.linear",
        "from hf_lrsched.schedules import *",
        "import hf_lrsched; (hf_lrsched.warmup('10%') >> hf_lrsched.linear()).resolve(10)(range(10))",
        "import hf_lrsched; hf_lrsched.parse(str(hf_lrsched.parse('bert() * step(every=50%)')))",
        "from hf_lrsched.schedules import from_transformers; from_transformers('cosine', 10, 100).explain(100)",
    ],
)
def test_without_torch(code):
    assert find_heavy(code) == "[]"


def test_the_check_can_see_torch():
    assert "'torch'" in find_heavy("import hf_lrsched.optim.device_queue")


@pytest.mark.parametrize("name", ["hf_lrsched", "hf_lrsched.schedules"])
def test_all_names_resolve(name):
    module = importlib.import_module(name)
    for public in module.__all__:
        assert getattr(module, public) is not None
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))


def test_a_name_that_there_is_not():
    import hf_lrsched

    with pytest.raises(AttributeError, match="module 'hf_lrsched' has no attribute 'lineer'"):
        hf_lrsched.lineer  # noqa: B018
