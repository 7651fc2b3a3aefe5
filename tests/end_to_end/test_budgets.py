"""Several budgets from one trunk in two processes, as accelerate and torchrun start them."""

from pathlib import Path

import pytest
import transformers
from packaging.version import Version

from tests.processes import launched

SCRIPT = Path(__file__).with_name("budgets_run.py")


@pytest.mark.slow
@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5"), reason="transformers 4 cannot resume several processes on CPUs"
)
def test_two_processes_train_the_same_budgets(tmp_path):
    found = launched(SCRIPT, str(tmp_path), {"budgets": ["0.5ep", "1.5ep"]}, processes=2)
    assert isinstance(found, list), found[-3000:]
    assert found[0] == found[1]
    assert found[0]["processes"] == 2 and found[0]["updates"] == [8, 24]
    assert found[0]["is_left_alone"] and found[0]["is_the_separate_run"]
