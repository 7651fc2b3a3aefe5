"""Group texts of similar length into batches, in an order that a resumed run repeats."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
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


class RecipeTrainer(ScheduledTrainer):
    """A ScheduledTrainer that uses [`RepeatableSampler`] where batches are grouped by length."""

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        sampler = super()._get_train_sampler(*args, **kwargs)
        if type(sampler) is not LengthGroupedSampler:
            return sampler
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return RepeatableSampler(sampler.batch_size, sampler.lengths, seed, self._num_epochs_done)

    def _num_epochs_done(self) -> int:
        return int((self.state.epoch or 0.0) + 1e-6)  # 2.9999999 is three
