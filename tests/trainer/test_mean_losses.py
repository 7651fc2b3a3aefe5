"""A resumed run logs the mean losses of the run that was not interrupted."""

import pytest
from transformers import Trainer

TIMES = ("runtime", "per_second", "total_flos")


def history(trainer):
    return [
        {key: value for key, value in record.items() if not key.endswith(TIMES)} for record in trainer.state.log_history
    ]


@pytest.mark.skipif(not hasattr(Trainer, "_run_epoch"), reason="transformers 4 keeps the sum in a local variable")
@pytest.mark.parametrize("saved", [3, 6, 9])
def test_log_equals_that_of_an_uninterrupted_run(make_trainer, tmp_path, saved):
    settings = {"num_train_epochs": 2, "logging_steps": 4, "save_strategy": "steps", "save_steps": 3}
    first = make_trainer("linear()", **settings)
    mean_loss = first.train().metrics["train_loss"]
    resumed = make_trainer("linear()", **settings)
    metrics = resumed.train(resume_from_checkpoint=str(tmp_path / f"out/checkpoint-{saved}")).metrics
    assert history(resumed) == history(first)
    assert metrics["train_loss"] == mean_loss
