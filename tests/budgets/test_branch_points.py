"""BranchPoints: where a run is saved, and the time that its checkpoints keep."""

import torch

from hf_lrsched.budgets.branch_points import BranchPoints
from hf_lrsched.runs.checkpoints import list_checkpoints


def test_run_is_saved_at_the_points_alone_and_its_time_goes_on(make_trainer, tmp_path):
    first = BranchPoints({2, 5})
    trainer = make_trainer("hold()", callbacks=[first], max_steps=9)
    trainer.train()
    assert trainer.state.global_step == 5
    checkpoints = list_checkpoints(tmp_path / "out")
    assert [*checkpoints] == [2, 5]
    saved = torch.load(checkpoints[5] / "scheduler.pt", weights_only=True)["owners"]["budgets"]["seconds"]
    assert 0 < saved <= first.seconds

    second = BranchPoints()
    make_trainer("hold()", callbacks=[second], max_steps=9).train(resume_from_checkpoint=str(checkpoints[5]))
    assert second.seconds > saved
    assert [*list_checkpoints(tmp_path / "out")] == [2, 5]
