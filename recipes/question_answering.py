"""Fine-tune BERT or a relative to answer questions from a paragraph; the metrics show the learning rate that was used.

    python recipes/question_answering.py recipes/configs/demo_questions.yaml
    python recipes/question_answering.py --dataset_name rajpurkar/squad_v2 --output_dir runs/squad

Data: files in the format of SQuAD 1.1 or 2.0, tables with the columns question, context and answers, or a Hub dataset with these.
Settings and results are those of all recipes, see docs/recipes.md.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from common.answers import AnswerOptions, find_answers, score_answers
from common.arguments import RecipeArguments
from common.data import DataArguments, describe_sizes, read_splits, select_rows
from common.errors import RecipeError
from common.files import TABLES, Reader
from common.model import check_word_ids, load_config_and_tokenizer, load_model, max_length
from common.run import Task, run_recipe
from common.squad import check_questions, read_squad
from datasets import Dataset
from scipy.special import log_softmax
from transformers import AutoModelForQuestionAnswering, DataCollatorWithPadding

#: Columns of features that the model does not get: their question, and the place of their tokens in its context.
_PLACES = ("row", "offsets")


@dataclass
class QuestionAnsweringArguments(DataArguments):
    """What to train and evaluate on: questions with paragraphs that hold their answers, or do not."""

    readers: ClassVar[Mapping[str, Reader]] = {**TABLES, ".json": read_squad}

    doc_stride: int = field(
        default=128, metadata={"help": "Long paragraphs are cut into pieces that share this many tokens."}
    )
    n_best_size: int = field(
        default=20, metadata={"help": "Combine this many of the best starts with as many of the best ends."}
    )
    max_answer_length: int = field(default=30, metadata={"help": "The maximum number of tokens in an answer."})
    null_score_diff_threshold: float = field(
        default=0.0,
        metadata={"help": "Give no answer where 'no answer' scores higher than the best answer by more than this."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("doc_stride", "n_best_size", "max_answer_length"):
            if getattr(self, name) < 1:
                raise RecipeError(f"--{name} must be at least 1, got {getattr(self, name)}.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the recipe. Returns 0, or 2 if a setting or the data is invalid."""
    return run_recipe(prepare, QuestionAnsweringArguments, "question-answering", argv)


def prepare(arguments: RecipeArguments) -> Task:
    """Read the data, load the model, and tokenize: what the Trainer needs from this recipe."""
    args, settings = arguments.training, arguments.data
    with args.main_process_first(desc="reading the data"):
        questions = load_data(settings, arguments.model.cache_dir, arguments.model.token)
    config, tokenizer = load_config_and_tokenizer(arguments.model)
    check_word_ids(tokenizer)
    model = load_model(AutoModelForQuestionAnswering, arguments.model, config)
    max_seq_length = max_length(settings.max_seq_length, config, tokenizer, default=384)
    with args.main_process_first(desc="tokenizing"):
        features = {
            name: tokenize(rows, tokenizer, max_seq_length, settings.doc_stride, name)
            for name, rows in questions.items()
        }
    has_unanswerable = any(not answers["text"] for rows in questions.values() for answers in rows["answers"])
    options = AnswerOptions(
        settings.n_best_size, settings.max_answer_length, has_unanswerable, settings.null_score_diff_threshold
    )
    right = [each["text"] for each in questions["validation"]["answers"]] if "validation" in questions else []
    kind = "some have no answer" if has_unanswerable else "all have an answer"
    return Task(
        model=model,
        tokenizer=tokenizer,
        splits={name: rows.remove_columns(_PLACES) for name, rows in features.items()},
        collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=make_compute_metrics(questions, features, options),
        metrics=tuple(score_answers([""] * len(right), right)) if right else (),
        description=[
            f"questions: {describe_sizes(questions)}, {kind}; pieces of at most {max_seq_length} tokens: {describe_sizes(features)}"
        ],
        preprocess_logits=lambda logits, labels: logits[:2],
    )


def load_data(
    args: QuestionAnsweringArguments, cache_dir: str | None = None, token: str | None = None
) -> dict[str, Dataset]:
    """Read the splits as datasets with the columns `question`, `context`, `answers` and `place`.

    Raises:
        RecipeError: A file, split or column is missing, a text is empty, or an answer is not at its offset.
    """
    return {
        name: select_rows(args, name, check_questions(split))
        for name, split in read_splits(args, cache_dir, token).items()
    }


def tokenize(questions: Dataset, tokenizer: Any, max_seq_length: int, stride: int, split: str) -> Dataset:
    """Turn questions into features: the question and a piece of its context, with the tokens where the answer begins and ends.

    Args:
        questions (`Dataset`): Rows with the columns `question`, `context`, `answers` and `place`.
        tokenizer (`PreTrainedTokenizerFast`): The tokenizer.
        max_seq_length (`int`): The most tokens of a feature.
        stride (`int`): The tokens that two neighbouring pieces share.
        split (`str`): The split, for the progress bar.

    Returns:
        `Dataset`: The model's inputs and labels, and the columns `row` and `offsets`: the question of each feature, and where each
        token of the context is in it, as begin and end; -1 for other tokens. The labels are 0, the place of the first token, where
        the piece does not hold the answer.
    """
    longest = max_seq_length - tokenizer.num_special_tokens_to_add(pair=True) - stride - 1

    def encode(rows: dict[str, list[Any]], indices: list[int]) -> dict[str, Any]:
        asked = [question.strip() for question in rows["question"]]
        for place, ids in zip(rows["place"], tokenizer(asked, add_special_tokens=False)["input_ids"], strict=True):
            if len(ids) > longest:
                raise RecipeError(
                    f"{place}: the question has {len(ids)} tokens, but at most {max(longest, 0)} leave room for its paragraph. Increase "
                    f"--max_seq_length ({max_seq_length}), decrease --doc_stride ({stride}), or remove the question."
                )
        encoded = tokenizer(
            asked,
            rows["context"],
            truncation="only_second",
            max_length=max_seq_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        of = encoded.pop("overflow_to_sample_mapping")
        mapping = encoded.pop("offset_mapping")
        offsets, starts, ends = [], [], []
        for feature, row in enumerate(of):
            in_context = np.array(encoded.sequence_ids(feature), dtype=object) == 1
            places = np.where(in_context[:, None], np.array(mapping[feature]), -1)
            start, end = find_span(places, rows["answers"][row])
            offsets.append(places.tolist())
            starts.append(start)
            ends.append(end)
        labels = {"start_positions": starts, "end_positions": ends}
        return {**encoded, **labels, "row": [indices[row] for row in of], "offsets": offsets}

    return questions.map(
        encode, batched=True, with_indices=True, remove_columns=questions.column_names, desc=f"Tokenizing {split}"
    )


def find_span(places: np.ndarray, answers: Mapping[str, Sequence[Any]]) -> tuple[int, int]:
    """Return the first and the last token of the first answer, or 0 and 0 if the piece does not hold all of it.

    Args:
        places (`np.ndarray`): Begin and end of each token in the context; shape (tokens, 2). -1 for other tokens.
        answers (`Mapping`): `text` and `answer_start` of each answer.
    """
    if not answers["text"]:
        return 0, 0
    begin = answers["answer_start"][0]
    end = begin + len(answers["text"][0])
    inside = np.flatnonzero((places[:, 0] >= 0) & (places[:, 1] > begin) & (places[:, 0] < end))
    if not len(inside) or places[inside[0], 0] > begin or places[inside[-1], 1] < end:
        return 0, 0
    return int(inside[0]), int(inside[-1])


def make_compute_metrics(
    questions: Mapping[str, Dataset], features: Mapping[str, Dataset], options: AnswerOptions
) -> Callable[[Any, str], dict[str, float]]:
    """Make the task's `compute_metrics`: exact match and F1 of the answers, and the loss of starts and ends."""

    def compute_metrics(prediction: Any, split: str) -> dict[str, float]:
        rows, pieces = questions[split], features[split]
        offsets = [np.array(places) for places in pieces["offsets"][:]]
        logits = [np.asarray(each, dtype=np.float64) for each in prediction.predictions]
        answers = find_answers(logits, offsets, pieces["row"][:], rows["context"][:], options)
        losses = [
            -log_softmax(row[: len(places)])[label]  # without the padding, whose length depends on the batch
            for each, labels in zip(logits, prediction.label_ids, strict=True)
            for row, places, label in zip(each, offsets, labels, strict=True)
        ]
        return {"loss": float(np.mean(losses)), **score_answers(answers, [each["text"] for each in rows["answers"][:]])}

    return compute_metrics


if __name__ == "__main__":
    sys.exit(main())
