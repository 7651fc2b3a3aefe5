"""RunContext: what the callbacks of one run share, and no other run."""

import torch
from transformers import TrainerState

from hf_lrsched.callbacks.run_context import ReadsUsedLRs, get_context, note_event


def test_each_run_has_one_context():
    one, other = TrainerState(), TrainerState()
    assert get_context(one) is get_context(one) is not get_context(other)


def test_the_context_is_in_no_checkpoint(tmp_path):
    state = TrainerState()
    get_context(state).step_sizes["x"] = 1.0
    state.save_to_json(str(tmp_path / "state.json"))
    assert "hf_lrsched" not in (tmp_path / "state.json").read_text()
    assert get_context(TrainerState.load_from_json(str(tmp_path / "state.json"))).step_sizes == {}


def test_an_event_reaches_the_recorder_of_its_run_where_there_is_one():
    state, noted = TrainerState(), []
    note_event(state, {"kind": "lost"})
    get_context(state).note = lambda *given: noted.append(given)
    note_event(state, {"kind": "seen"})
    assert noted == [(state, {"kind": "seen"})]


def test_the_first_callback_reads_the_lrs_for_all():
    state, optimizer = TrainerState(global_step=4), torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    ReadsUsedLRs().on_step_begin(None, state, None, optimizer=optimizer)
    assert get_context(state).used_lrs.values() == {}  # the optimizer has not stepped yet
    ReadsUsedLRs().on_optimizer_step(None, state, None, optimizer=optimizer)
    optimizer.param_groups[0]["lr"] = 0.25
    ReadsUsedLRs().on_optimizer_step(None, state, None, optimizer=optimizer)
    assert get_context(state).used_lrs.values() == {"learning_rate": 0.5}
