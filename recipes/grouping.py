"""Batches of texts of about the same length, in an order that a resumed run finds again."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from hf_lrsched import ScheduledTrainer


class RepeatableSampler(LengthGroupedSampler):
    """LengthGroupedSampler whose order depends on the seed and the epoch alone.

    The stock one draws from torch's global random state, which is another one when a run goes on in the middle of an
    epoch: some texts would then be seen twice in it, others not at all.

    Args:
        batch_size (`int`): Texts of an update on one process.
        lengths (`list[int]`): Tokens of each text.
        seed (`int`): Of the run.
        epoch (`Callable`): Tells how many epochs are done.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int, epoch: Callable[[], int]):
        super().__init__(batch_size, lengths=lengths)
        self.seed, self.epoch = seed, epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch())
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class GroupingTrainer(ScheduledTrainer):
    """ScheduledTrainer with that sampler wherever batches are grouped by length."""

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        sampler = super()._get_train_sampler(*args, **kwargs)
        if type(sampler) is not LengthGroupedSampler:
            return sampler
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return RepeatableSampler(sampler.batch_size, sampler.lengths, seed, self._epochs_done)

    def _epochs_done(self) -> int:
        return int((self.state.epoch or 0.0) + 1e-6)  # 2.9999999 is three
