"""Train BERT or a relative to fill in masked words, e.g. on texts of your field; the metrics show the learning rate used.

    python recipes/masked_lm.py recipes/configs/demo_masked_lm.yaml
    python recipes/masked_lm.py --train_file 'texts/*.txt' --validation_file held_out.txt --whole_word_mask true --output_dir runs/mlm

Data: text files, each line a text, or a column of texts. Longer texts are split, not cut. Settings and results are those of all
recipes, see docs/recipes.md.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from common.arguments import RecipeArguments
from common.data import TokenDataArguments, check_texts, describe_sizes, find_column, read_splits, select_rows
from common.errors import RecipeError
from common.files import TABLES, Reader, is_blank, read_lines
from common.losses import IGNORED
from common.masked_head import skip_unmasked_logits
from common.masking import MaskAnewEachEpoch, MaskingCollator, mask_split
from common.model import check_word_ids, load_config_and_tokenizer, load_model, max_length
from common.run import Task, run_recipe
from datasets import Dataset
from transformers import AutoModelForMaskedLM

from hf_lrsched.schedules.numbers import format_count


@dataclass
class MaskedLMArguments(TokenDataArguments):
    """What to train and evaluate on: texts."""

    readers: ClassVar[Mapping[str, Reader]] = {**TABLES, ".txt": read_lines, ".md": read_lines}

    text_column_name: str | None = field(default=None, metadata={"help": "The column of texts. Default: text."})
    mlm_probability: float = field(default=0.15, metadata={"help": "The share of tokens that are to be predicted."})
    whole_word_mask: bool = field(default=False, metadata={"help": "Mask all sub-tokens of a word together."})
    join_texts: bool = field(
        default=False, metadata={"help": "Join the texts and cut them into blocks of --max_seq_length tokens."}
    )
    new_head: bool = field(
        default=False, metadata={"help": "Train a new head from random weights if the checkpoint has none."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.mlm_probability < 1:
            raise RecipeError(f"--mlm_probability is a share between 0 and 1, got {self.mlm_probability}.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the recipe. Returns 0, or 2 if a setting or the data is invalid."""
    return run_recipe(prepare, MaskedLMArguments, "fill-mask", argv)


def prepare(arguments: RecipeArguments) -> Task:
    """Read the data, load the model, and tokenize: what the Trainer needs from this recipe."""
    args, settings = arguments.training, arguments.data
    with args.main_process_first(desc="reading the data"):
        texts = load_data(settings, arguments.model.cache_dir, arguments.model.token)
    config, tokenizer = load_config_and_tokenizer(arguments.model)
    check_word_ids(tokenizer)
    if tokenizer.mask_token_id is None:
        raise RecipeError(f"the tokenizer of {arguments.model.model_name_or_path!r} has no mask token.")
    if len(tokenizer) > config.vocab_size:  # some masks are random tokens
        raise RecipeError(
            f"the tokenizer has {len(tokenizer)} tokens, but the model {config.vocab_size}. Resize the model's embeddings."
        )
    hint = "Choose one that was trained to fill in words, or train a new head from random weights: --new_head true."
    model = load_model(AutoModelForMaskedLM, arguments.model, config, needs_head=None if settings.new_head else hint)
    skip_unmasked_logits(model, args)
    max_seq_length = max_length(settings.max_seq_length, config, tokenizer)
    masking = MaskingCollator(tokenizer, settings.mlm_probability, settings.whole_word_mask, args.seed)
    with args.main_process_first(desc="tokenizing"):
        splits = tokenize(texts, tokenizer, max_seq_length, settings.join_texts)
        for name in sorted(set(splits) - {"train"}):
            splits[name] = mask_split(splits[name], masking)
    args.remove_unused_columns = False  # masking needs the words
    what = "words" if settings.whole_word_mask else "tokens"
    return Task(
        model=model,
        tokenizer=tokenizer,
        splits=splits,
        collator=masking,
        compute_metrics=compute_metrics,
        metrics=("perplexity", "masked_accuracy"),
        description=[
            f"texts: {describe_sizes(texts)}; samples of at most {max_seq_length} tokens: {describe_sizes(splits)}",
            f"{settings.mlm_probability:.0%} of the {what} are masked: anew in each epoch of training, once for all evaluations",
        ],
        preprocess_logits=keep_losses,
        callbacks=[MaskAnewEachEpoch(masking)],
    )


def load_data(args: MaskedLMArguments, cache_dir: str | None = None, token: str | None = None) -> dict[str, Dataset]:
    """Read the splits as datasets with the column `text`.

    Raises:
        RecipeError: A file, split or column is missing, or a row has no text.
    """
    splits = read_splits(args, cache_dir, token)
    column = find_column(splits["train"], args.text_column_name, ("text",), "text_column_name")
    texts = {}
    for name, split in splits.items():
        check_texts(split, [column])
        empty = [row for row, text in enumerate(split.values(column)) if is_blank(text)]
        if empty:
            raise RecipeError(
                f"{split.at(empty[0])}: the text is empty ({format_count(len(empty), 'such row')}). Remove it."
            )
        rows = select_rows(args, name, split.rows.select_columns([column]))
        texts[name] = rows if column == "text" else rows.rename_column(column, "text")
    return texts


def tokenize(
    texts: Mapping[str, Dataset], tokenizer: Any, max_seq_length: int, join_texts: bool = False
) -> dict[str, Dataset]:
    """Turn texts into samples of token ids and of the word that each token is from.

    Args:
        texts (`dict[str, Dataset]`): Splits with the column `text`.
        tokenizer (`PreTrainedTokenizerFast`): The tokenizer.
        max_seq_length (`int`): The most tokens of a sample. A longer text becomes several samples.
        join_texts (`bool`, defaults to `False`): Whether texts are joined and cut into samples of that many tokens.
    """
    before, after = find_special_tokens(tokenizer)
    size = max_seq_length - len(before) - len(after)

    def encode(rows: dict[str, list[str]]) -> dict[str, Any]:
        encoded = tokenizer(rows["text"], add_special_tokens=False, verbose=False)
        words = [encoded.word_ids(row) for row in range(len(rows["text"]))]
        pairs = list(zip(encoded["input_ids"], words, strict=True))
        if join_texts:  # word numbers must differ where texts meet
            shifted = ([index * 100_000 + word for word in each] for index, each in enumerate(words))
            pairs = [(list(chain.from_iterable(encoded["input_ids"])), list(chain.from_iterable(shifted)))]
        pieces = [(ids[at : at + size], of[at : at + size]) for ids, of in pairs for at in range(0, len(ids), size)]
        return {
            "input_ids": [[*before, *ids, *after] for ids, _ in pieces],
            "words": [[-1] * len(before) + of + [-1] * len(after) for _, of in pieces],
        }

    samples = {
        name: split.map(
            encode, batched=True, batch_size=1000, remove_columns=split.column_names, desc=f"Tokenizing {name}"
        )
        for name, split in texts.items()
    }
    for name, split in samples.items():
        if not len(split):
            raise RecipeError(f"no text of the {name} split has a token: the tokenizer drops all their characters.")
    return samples


def find_special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts before and after a text."""
    plain, complete = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    start = next(at for at in range(len(complete)) if complete[at : at + len(plain)] == plain)
    return complete[:start], complete[start + len(plain) :]


def keep_losses(logits: Any, labels: torch.Tensor) -> torch.Tensor:
    """Keep the loss of each token, and whether its prediction is correct, instead of one logit for each word that there is."""
    logits = (logits[0] if isinstance(logits, tuple) else logits).float()
    losses = torch.nn.functional.cross_entropy(logits.mT, labels, ignore_index=IGNORED, reduction="none")
    return torch.stack([losses, (logits.argmax(-1) == labels).float()], dim=-1)


def compute_metrics(prediction: Any, split: str) -> dict[str, float]:
    r"""Compute the perplexity \\(\exp(\text{mean loss of masked tokens})\\), and the share of correct predictions."""
    losses, correct = prediction.predictions[prediction.label_ids != IGNORED].astype(np.float64).T
    return {"loss": losses.mean(), "perplexity": float(np.exp(losses.mean())), "masked_accuracy": correct.mean()}


if __name__ == "__main__":
    sys.exit(main())
