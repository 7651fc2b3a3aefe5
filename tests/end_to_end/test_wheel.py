"""The wheel, in an environment of its own and without the repository beside it."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from hf_lrsched import __version__

pytest.importorskip("build", reason="needs the package build")
ROOT = Path(__file__).parents[2]


def run(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.mark.slow
def test_metadata_is_valid(dist):
    pytest.importorskip("twine")
    assert "PASSED" in run(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir(), cwd=dist)
    assert {path.name for path in dist.iterdir()} == {
        f"hf_lrsched-{__version__}-py3-none-any.whl",
        f"hf_lrsched-{__version__}.tar.gz",
    }


@pytest.mark.slow
def test_wheel_holds_the_package_alone(dist):
    names = zipfile.ZipFile(next(dist.glob("*.whl"))).namelist()
    assert {name.split("/")[0] for name in names} == {"hf_lrsched", f"hf_lrsched-{__version__}.dist-info"}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hf_lrsched").rglob("*.py")}
    assert package <= set(names)
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "recipes/text_classification.py"} <= source
    assert not any(name.startswith((".venv", ".ci", "runs/", "site/")) for name in source)


@pytest.mark.slow
def test_commands_that_need_no_torch_run_from_the_wheel_without_it(dist, tmp_path):
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    run(*install, next(dist.glob("*.whl")), "numpy", "pyyaml", "safetensors", cwd=tmp_path)
    command = tmp_path / "venv" / "bin" / "hf-lrsched"
    assert run(command, "--version", cwd=tmp_path) == f"hf-lrsched {__version__}\n"
    text = run(command, "preview", "warmup(10%) >> linear()", "--updates", 345, "--lr", 2e-5, cwd=tmp_path)
    assert "10% of 345 updates = 35" in text
    code = "from hf_lrsched.schedules import parse; print(parse('linear()').resolve(4)([0, 2]).tolist())"
    assert run(python, "-c", code, cwd=tmp_path) == "[1.0, 0.5]\n"
