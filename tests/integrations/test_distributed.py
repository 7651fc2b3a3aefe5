"""One process looks, all know."""

import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.integrations.distributed import on_main_process
from tests.processes import run_forked


def test_alone():
    assert on_main_process(lambda: "a checkpoint") == "a checkpoint"
    with pytest.raises(ScheduleError, match="corrupted"):
        on_main_process(lambda: (_ for _ in ()).throw(ScheduleError("corrupted")))


SCRIPT = """
import sys
from accelerate import PartialState
from hf_lrsched import ScheduleError
from hf_lrsched.integrations.distributed import on_main_process

state = PartialState(cpu=True)
assert state.num_processes == 2

def refuse():
    raise ScheduleError(f"refused by {state.process_index}")

found = on_main_process(lambda: f"seen by {state.process_index}")
try:
    on_main_process(refuse)
except ScheduleError as error:
    open(f"{sys.argv[1]}/{state.process_index}", "w").write(f"{found}, {error}")
state.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_have_the_result_and_the_error_of_the_main_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = run_forked(script, str(tmp_path), count=2)
    answers = {name: (tmp_path / name).read_text() for name in "01" if (tmp_path / name).exists()}
    assert answers == dict.fromkeys("01", "seen by 0, refused by 0"), done.stderr
