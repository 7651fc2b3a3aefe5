"""Fine-tune BERT or a relative to tag words: names (NER), parts of speech; the metrics show the learning rate that was used.

    python recipes/token_classification.py recipes/configs/demo_entities.yaml
    python recipes/token_classification.py --dataset_name lhoestq/conll2003 --output_dir runs/ner

Data: CoNLL files (a word and its tag on each line, an empty line after each sentence), JSON lines or a Hub dataset with a list
of words and a list of tags in each row. Settings and results are those of all recipes, see docs/recipes.md.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from common.arguments import RecipeArguments
from common.conll import (
    SCHEMES,
    check_entities,
    complete_tags,
    find_invisible_words,
    guess_scheme,
    is_entities,
    read_conll,
    read_tags,
)
from common.data import (
    TokenDataArguments,
    describe_sizes,
    find_column,
    read_splits,
    select_rows,
)
from common.errors import RecipeError
from common.files import TABLES, Reader
from common.labels import check_known_labels, list_labels, order_labels, set_labels
from common.losses import IGNORED, mean_cross_entropy
from common.metrics import entity_metrics, tag_metrics
from common.model import check_word_ids, count_cut_texts, load_config_and_tokenizer, load_model, max_length
from common.run import Task, run_recipe
from datasets import ClassLabel, Dataset
from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification

_WORDS, _TAGS = ("tokens", "words"), ("ner_tags", "tags", "pos_tags", "labels")


@dataclass
class TokenClassificationArguments(TokenDataArguments):
    """What to train and evaluate on: sentences as lists of words, with a tag for each word."""

    text_column_name: str | None = field(
        default=None, metadata={"help": f"The column of words. Default: {' or '.join(_WORDS)}."}
    )
    label_column_name: str | None = field(
        default=None, metadata={"help": f"The column of tags. Default: the first of {', '.join(_TAGS)}."}
    )
    conll_columns: str = field(
        default="0,-1", metadata={"help": "The columns of word and tag in CoNLL files, e.g. 1,3 for CoNLL-U."}
    )
    label_all_tokens: bool = field(
        default=False,
        metadata={"help": "Train on all sub-tokens of a word instead of the first. Evaluation always takes the first."},
    )
    tag_scheme: str | None = field(
        default=None,
        metadata={"help": f"How entities are tagged: {', '.join(SCHEMES)}. Guessed from the tags by default."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tag_scheme not in (None, *SCHEMES):
            raise RecipeError(f"--tag_scheme is one of {', '.join(SCHEMES)}, got {self.tag_scheme!r}.")
        if not re.fullmatch(r"-?\d+,-?\d+", self.conll_columns.replace(" ", "")):
            raise RecipeError(f"--conll_columns takes two numbers such as 0,-1, got {self.conll_columns!r}.")

    @property
    def readers(self) -> Mapping[str, Reader]:  # type: ignore[override]
        """The formats of files by their endings."""
        word, tag = map(int, self.conll_columns.split(","))
        conll = partial(read_conll, word=word, tag=tag)
        return {**TABLES, **dict.fromkeys((".conll", ".conllu", ".bio", ".iob", ".txt"), conll)}


@dataclass(frozen=True)
class TaggedSentences:
    """Splits of sentences and the tag of each of their words.

    Args:
        splits (`dict[str, Dataset]`): The splits, with the columns `words` and `tags`.
        names (`tuple[str, ...]`): All tags in the order of their numbers.
        has_entities (`bool`): Whether the tags mark entities (`B-PER`), or stand by themselves (`NOUN`).
        warnings (`list[str]`): What is doubtful about the data.
    """

    splits: dict[str, Dataset]
    names: tuple[str, ...]
    has_entities: bool
    warnings: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the recipe. Returns 0, or 2 if a setting or the data is invalid."""
    return run_recipe(prepare, TokenClassificationArguments, "token-classification", argv)


def prepare(arguments: RecipeArguments) -> Task:
    """Read the data, load the model, and tokenize: what the Trainer needs from this recipe."""
    args = arguments.training
    with args.main_process_first(desc="reading the data"):
        data = load_data(arguments.data, arguments.model.cache_dir, arguments.model.token)
    config, tokenizer = load_config_and_tokenizer(arguments.model, of_words=True)
    check_word_ids(tokenizer)
    names = set_labels(config, data.names, new_head=arguments.model.ignore_mismatched_sizes)
    model = load_model(AutoModelForTokenClassification, arguments.model, config)
    max_seq_length = max_length(arguments.data.max_seq_length, config, tokenizer)
    with args.main_process_first(desc="tokenizing"):
        splits = tokenize(data.splits, tokenizer, names, max_seq_length, arguments.data.label_all_tokens)
    right = data.splits["validation"]["tags"][:] if "validation" in data.splits else []
    metrics = entity_metrics() if data.has_entities else tag_metrics()
    f1 = "F1 is that of entities" if data.has_entities else f"F1 is the mean of {len(names)} tags"
    return Task(
        model=model,
        tokenizer=tokenizer,
        splits=splits,
        collator=DataCollatorForTokenClassification(tokenizer),
        compute_metrics=make_compute_metrics(names, metrics),
        metrics=tuple(metrics.compute(references=right, predictions=right)) if right else (),
        description=[
            f"sentences: {describe_sizes(splits)}; {len(names)} tags: {list_labels(names)}",
            f1,
            *data.warnings,
            *count_cut_texts(splits, max_seq_length),
        ],
    )


def load_data(
    args: TokenClassificationArguments, cache_dir: str | None = None, token: str | None = None
) -> TaggedSentences:
    """Read the splits, find their columns, and check words and tags.

    Raises:
        RecipeError: A file, split or column is missing, a sentence is empty, words and tags differ in number, an entity
            has no begin, or a split has a tag that the training split lacks.
    """
    splits = read_splits(args, cache_dir, token)
    words = find_column(splits["train"], args.text_column_name, _WORDS, "text_column_name")
    column = find_column(splits["train"], args.label_column_name, _TAGS, "label_column_name")
    tags = {name: read_tags(split, words, column) for name, split in splits.items()}
    feature = getattr(splits["train"].rows.features[column], "feature", None)
    names = order_labels(feature, sorted({tag for sentence in tags["train"] for tag in sentence}))
    has_entities = is_entities(splits["train"], tags["train"], args.tag_scheme)
    if has_entities:
        scheme = args.tag_scheme or guess_scheme(names)
        for name, split in splits.items():
            is_entities(split, tags[name], scheme)
            check_entities(split, tags[name], scheme)
        names = names if isinstance(feature, ClassLabel) else complete_tags(names)
    check_known_labels(tags, splits, names)
    selected = {
        name: select_rows(args, name, Dataset.from_dict({"words": split.values(words), "tags": tags[name]}))
        for name, split in splits.items()
    }
    warnings = [each for split in splits.values() for each in find_invisible_words(split, words)]
    return TaggedSentences(selected, tuple(names), has_entities, warnings)


def tokenize(
    splits: Mapping[str, Dataset], tokenizer: Any, names: Sequence[str], max_seq_length: int, label_all: bool = False
) -> dict[str, Dataset]:
    """Turn the splits into token ids and tag numbers, without the raw columns.

    Args:
        splits (`dict[str, Dataset]`): Splits with the columns `words` and `tags`.
        tokenizer (`PreTrainedTokenizerFast`): The tokenizer.
        names (`Sequence[str]`): All tags in the order of the model's outputs.
        max_seq_length (`int`): Sentences are cut after this many tokens.
        label_all (`bool`, defaults to `False`): Whether all sub-tokens of a training word are labelled. Those after the first
            continue the entity.
    """
    number = {name: index for index, name in enumerate(names)}
    inside = {name: number.get(f"I-{name[2:]}" if name[:2] == "B-" else name, number[name]) for name in names}

    def encode(rows: dict[str, list[Any]], with_all: bool) -> dict[str, Any]:
        encoded = tokenizer(rows["words"], is_split_into_words=True, truncation=True, max_length=max_seq_length)
        labels = []
        for row, tags in enumerate(rows["tags"]):
            ids = encoded.word_ids(row)
            labels.append(
                [
                    IGNORED
                    if word is None or (word == before and not with_all)
                    else (inside if word == before else number)[tags[word]]
                    for before, word in zip([None, *ids], ids, strict=False)
                ]
            )
        return {**encoded, "labels": labels}

    return {
        name: split.map(
            encode,
            batched=True,
            fn_kwargs={"with_all": label_all and name == "train"},
            remove_columns=split.column_names,
            desc=f"Tokenizing {name}",
        )
        for name, split in splits.items()
    }


def make_compute_metrics(names: Sequence[str], metrics: Any) -> Callable[[Any, str], dict[str, float]]:
    """Make the task's `compute_metrics`: the metrics of entities or of tags, and the loss."""

    def compute_metrics(prediction: Any, split: str) -> dict[str, float]:
        logits, labels = prediction.predictions, prediction.label_ids
        said, chosen = np.argmax(logits, axis=-1), labels != IGNORED
        as_names = [
            [[names[tag] for tag in tags[kept]] for tags, kept in zip(numbers, chosen, strict=True)]
            for numbers in (labels, said)
        ]
        found = metrics.compute(references=as_names[0], predictions=as_names[1])
        return {"loss": mean_cross_entropy(logits, labels), **found}

    return compute_metrics


if __name__ == "__main__":
    sys.exit(main())
