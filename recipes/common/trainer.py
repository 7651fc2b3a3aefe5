"""The recipes' Trainer: batches with little padding, in an order that a resumed run repeats, and exact losses."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import EvalPrediction, TrainingArguments

from hf_lrsched import ScheduledTrainer
from hf_lrsched.callbacks.progress import SchedulePrinterCallback, ScheduleProgressCallback

from .packing import PackingCollator, separate_texts


class SimilarLengthSampler(Sampler[int]):
    r"""Rows in random order, in which the texts of an update have similar lengths, so that little padding is computed.

    The rows are shuffled and cut into pools of \\(u \min(\lfloor n / 2u \rfloor, 50)\\) rows, for n rows and u rows in an update.
    Each pool is sorted by length and cut into updates, and the updates are shuffled. That of the longest text comes first, so that
    a lack of memory shows at once.

    It differs from transformers' `LengthGroupedSampler` in two ways. There, the updates of a pool go from long to short texts, over
    and over, which is no random order. And there the order depends on torch's global random state, which differs when a run
    resumes within an epoch: the epoch would then repeat some texts and skip others.

    Args:
        lengths (`np.ndarray`): The number of tokens of each text.
        update_size (`int`): The texts of one update, on all processes.
        seed (`int`): The seed of the run.
        get_epoch (`Callable`): Returns the number of epochs that are done. The order depends only on this and on the seed.
    """

    def __init__(self, lengths: np.ndarray, update_size: int, seed: int, get_epoch: Callable[[], int]):
        self.lengths, self.update_size, self.seed, self.get_epoch = lengths, update_size, seed, get_epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        source = np.random.default_rng([self.seed, self.get_epoch()])
        rows, size = source.permutation(len(self)), self.update_size
        pool = size * max(min(len(self) // (2 * size), 50), 1)
        pools = (rows[start : start + pool] for start in range(0, len(self), pool))
        rows = np.concatenate([each[np.argsort(-self.lengths[each], kind="stable")] for each in pools])
        num_complete = len(self) // size
        updates = source.permutation(rows[: num_complete * size].reshape(num_complete, size))
        if num_complete:
            longest = self.lengths[updates].max(axis=1).argmax()
            updates[[0, longest]] = updates[[longest, 0]]
        return iter([*updates.ravel().tolist(), *rows[num_complete * size :].tolist()])


class FixedOrderSampler(Sampler[int]):
    """Rows in a given order."""

    def __init__(self, order: np.ndarray):
        self.order = order

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())

    def __len__(self) -> int:
        return len(self.order)


def is_grouped_by_length(args: TrainingArguments) -> bool:
    """Return whether the texts of a batch have similar lengths: transformers 4.57 and 5 have different names for that."""
    strategy = getattr(args, "train_sampling_strategy", None)
    return strategy == "group_by_length" or getattr(args, "group_by_length", False)


def count_tokens(rows: Dataset) -> np.ndarray:
    """Return the number of tokens of each row."""
    return pc.list_value_length(rows.with_format("arrow")[:]["input_ids"]).to_numpy()


def order_by_length(rows: Dataset) -> np.ndarray:
    """Return the numbers of the rows from the longest to the shortest text, so that a batch has little padding."""
    return np.argsort(-count_tokens(rows), kind="stable")


def first_output(logits: Any, labels: Any) -> Any:
    """Keep the first output of a model that returns several, such as its hidden states."""
    return logits[0] if isinstance(logits, tuple) else logits


class ShortLines:
    """Print the lines of an evaluation without what there is of each type and each group: metrics.csv has that."""

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        short = {name: value for name, value in (logs or {}).items() if "/" not in name}
        super().on_log(args, state, control, logs=short, **kwargs)  # type: ignore[misc]


class ShortProgress(ShortLines, ScheduleProgressCallback):
    """The progress bar with short lines."""


class ShortPrinter(ShortLines, SchedulePrinterCallback):
    """Short lines where the progress bar is off."""


_SHORT = {ScheduleProgressCallback: ShortProgress, SchedulePrinterCallback: ShortPrinter}


class RecipeTrainer(ScheduledTrainer):
    """A ScheduledTrainer that batches texts of similar length or packs random ones, and whose evaluations count each row once.

    Trainer's own evaluation loss is a mean over batches: it counts the rows that fill up the last batch of several processes
    twice, and a label in a batch of few labels more than one in a batch of many. The `loss` of the recipe's metrics is used
    instead.

    Args:
        compute_metrics (`Callable`): Metrics of a split, see `Task`.
        pack_texts (`bool`, defaults to `False`): Whether the texts of a training batch are packed without padding.
        **kwargs: Passed to `ScheduledTrainer`.
    """

    def __init__(
        self,
        *args: Any,
        compute_metrics: Callable[[Any, str], dict[str, float]],
        pack_texts: bool = False,
        **kwargs: Any,
    ):
        self._metrics_of_recipe, self._pack_texts = compute_metrics, pack_texts
        super().__init__(*args, compute_metrics=self._compute_in_order, **kwargs)
        callbacks = self.callback_handler.callbacks
        callbacks[:] = [_SHORT[type(each)]() if type(each) in _SHORT else each for each in callbacks]

    def get_train_dataloader(self) -> Any:
        collator = self.data_collator
        if self._pack_texts:
            self.data_collator = PackingCollator(collator, self.model.config)
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = collator

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        inputs = separate_texts(inputs) if "position_ids" in inputs else inputs
        return super().compute_loss(model, inputs, *args, **kwargs)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Any:
        args = self.args
        if not is_grouped_by_length(args):
            return super()._get_train_sampler(train_dataset)
        update_size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        seed = args.seed if args.data_seed is None else args.data_seed
        rows = self.train_dataset if train_dataset is None else train_dataset
        return SimilarLengthSampler(count_tokens(rows), update_size, seed, self._num_epochs_done)

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
