"""The recipes' Trainer: batches of texts of similar length, in an order that a resumed run repeats, and exact losses."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import EvalPrediction
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from hf_lrsched import ScheduledTrainer


class RepeatableSampler(LengthGroupedSampler):
    """A LengthGroupedSampler whose order depends only on the seed and the epoch.

    The stock sampler draws from torch's global random state, which differs when a run resumes within an epoch: the epoch
    would then repeat some texts and skip others.

    Args:
        batch_size (`int`): The texts of one update on one process.
        lengths (`list[int]`): The number of tokens of each text.
        seed (`int`): The seed of the run.
        get_epoch (`Callable`): Returns the number of epochs that are done.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int, get_epoch: Callable[[], int]):
        super().__init__(batch_size, lengths=lengths)
        self.seed, self.get_epoch = seed, get_epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.get_epoch())
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class FixedOrderSampler(Sampler[int]):
    """Rows in a given order."""

    def __init__(self, order: np.ndarray):
        self.order = order

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())

    def __len__(self) -> int:
        return len(self.order)


def count_tokens(rows: Dataset) -> np.ndarray:
    """Return the number of tokens of each row."""
    return pc.list_value_length(rows.with_format("arrow")[:]["input_ids"]).to_numpy()


def order_by_length(rows: Dataset) -> np.ndarray:
    """Return the numbers of the rows from the longest to the shortest text, so that a batch has little padding."""
    return np.argsort(-count_tokens(rows), kind="stable")


def first_output(logits: Any, labels: Any) -> Any:
    """Keep the first output of a model that returns several, such as its hidden states."""
    return logits[0] if isinstance(logits, tuple) else logits


class RecipeTrainer(ScheduledTrainer):
    """A ScheduledTrainer that batches texts of similar length, and whose evaluations count each row once.

    Trainer's own evaluation loss is a mean over batches: it counts the rows that fill up the last batch of several processes
    twice, and a label in a batch of few labels more than one in a batch of many. The `loss` of the recipe's metrics is used
    instead.

    Args:
        compute_metrics (`Callable`): Metrics of a split, see `Task`.
        **kwargs: Passed to `ScheduledTrainer`.
    """

    def __init__(self, *args: Any, compute_metrics: Callable[[Any, str], dict[str, float]], **kwargs: Any):
        self._metrics_of_recipe = compute_metrics
        super().__init__(*args, compute_metrics=self._compute_in_order, **kwargs)

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        sampler = super()._get_train_sampler(*args, **kwargs)
        if type(sampler) is not LengthGroupedSampler:
            return sampler
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return RepeatableSampler(sampler.batch_size, sampler.lengths, seed, self._num_epochs_done)

    def _num_epochs_done(self) -> int:
        return int((self.state.epoch or 0.0) + 1e-6)  # 2.9999999 is three

    def _get_eval_sampler(self, eval_dataset: Dataset) -> FixedOrderSampler:
        return FixedOrderSampler(order_by_length(eval_dataset))

    def evaluation_loop(self, dataloader: Any, *args: Any, **kwargs: Any) -> Any:
        self._place = np.argsort(order_by_length(dataloader.dataset))  # of each row in the order of the sampler
        prefix = kwargs.get("metric_key_prefix", "eval")
        self._split = "validation" if prefix == "eval" else prefix
        output = super().evaluation_loop(dataloader, *args, **kwargs)
        for name in [name for name in output.metrics if name.endswith("_exact_loss")]:
            output.metrics[name.replace("_exact_loss", "_loss")] = output.metrics.pop(name)
        return output._replace(
            predictions=self._in_order(output.predictions), label_ids=self._in_order(output.label_ids)
        )

    def _compute_in_order(self, prediction: EvalPrediction) -> dict[str, float]:
        ordered = EvalPrediction(self._in_order(prediction.predictions), self._in_order(prediction.label_ids))
        metrics = self._metrics_of_recipe(ordered, self._split)
        return {("exact_loss" if name == "loss" else name): value for name, value in metrics.items()}

    def _in_order(self, arrays: Any) -> Any:
        if isinstance(arrays, tuple | list):
            return type(arrays)(map(self._in_order, arrays))
        return None if arrays is None else arrays[self._place]
