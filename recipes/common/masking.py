"""Masks for masked-language modelling, which follow from the seed, the epoch and the text alone."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .losses import IGNORED


class MaskingCollator:
    """Make batches of masked samples: 80 % of the chosen tokens become [MASK], 10 % a random token, 10 % stay.

    The masks of a sample depend on the seed, the epoch and its tokens, so that they do not depend on the number of processes,
    and a resumed run repeats them.

    Args:
        tokenizer (`PreTrainedTokenizerFast`): The tokenizer.
        probability (`float`): The share of tokens, or of words, that are to be predicted.
        whole_words (`bool`): Whether all tokens of a word are chosen together.
        seed (`int`): The seed of the run.
    """

    def __init__(self, tokenizer: Any, probability: float, whole_words: bool, seed: int):
        self.tokenizer, self.probability, self.whole_words, self.seed = tokenizer, probability, whole_words, seed
        #: The number of the epoch. It is in shared memory, since worker processes that outlive an epoch have copies of this object.
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()
        special = set(tokenizer.all_special_ids)
        self._ordinary = np.array([token for token in range(len(tokenizer)) if token not in special])

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        epoch = int(self.epoch)
        masked = [sample if "labels" in sample else self.mask(sample, epoch) for sample in samples]
        batch = self.tokenizer.pad([{"input_ids": each["input_ids"]} for each in masked], return_tensors="pt")
        labels = torch.full(batch["input_ids"].shape, IGNORED)
        labels[batch["attention_mask"].bool()] = torch.tensor([label for each in masked for label in each["labels"]])
        return {**batch, "labels": labels}

    def mask(self, sample: Mapping[str, Any], epoch: int) -> dict[str, list[int]]:
        """Return `input_ids` with masks, and the `labels` of the chosen tokens.

        At least one token is chosen, so that each sample has a loss.

        Args:
            sample (`Mapping`): `input_ids`, and `words`: the word of each token, or -1 for special tokens.
            epoch (`int`): The epoch.
        """
        ids, words = np.array(sample["input_ids"]), np.array(sample["words"])
        source = np.random.default_rng([self.seed, epoch, zlib.crc32(ids.tobytes())])
        places = np.flatnonzero(words >= 0)
        units = np.unique(words[places], return_inverse=True)[1] if self.whole_words else np.arange(len(places))
        count = units.max(initial=-1) + 1
        chosen_units = source.random(count) < self.probability
        if count and not chosen_units.any():
            chosen_units[source.integers(count)] = True
        chosen = places[chosen_units[units]]
        labels = np.full(len(ids), IGNORED)
        labels[chosen] = ids[chosen]
        # A word's tokens have one fate, too: BERT masks all of them, or none.
        fate = source.random(count)[units[chosen_units[units]]]
        ids[chosen[fate < 0.8]] = self.tokenizer.mask_token_id
        random = chosen[fate >= 0.9]
        ids[random] = source.choice(self._ordinary, len(random))
        return {"input_ids": ids.tolist(), "labels": labels.tolist()}


class MaskAnewEachEpoch(TrainerCallback):
    """Give a [`MaskingCollator`] the number of each epoch as it begins."""

    def __init__(self, masking: MaskingCollator):
        self.masking = masking

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.masking.epoch.fill_(int((state.epoch or 0.0) + 1e-6))  # 2.9999999 is three


def mask_split(samples: Dataset, masking: MaskingCollator) -> Dataset:
    """Mask a split once, so that all its evaluations have the same masks."""
    return samples.map(lambda sample: masking.mask(sample, epoch=0), remove_columns=["words"], desc="Masking")
