"""Load a configuration, a tokenizer and a model from the Hub, a folder or a package."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset
from transformers import AutoConfig, AutoTokenizer

from hf_lrsched.schedules.errors import nearest

from .arguments import ModelArguments
from .errors import RecipeError, errors_as
from .package_model import find_package_model
from .trainer import count_tokens

#: Models whose positions begin after that of padding: of 514, they use 512.
_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "roberta-prelayernorm")
#: Models whose tokenizers treat a word after a space differently from one at the beginning of a text.
_SPACED = ("roberta", "longformer", "deberta", "bart", "gpt2")


def load_config_and_tokenizer(args: ModelArguments, *, of_words: bool = False) -> tuple[Any, Any]:
    """Load the configuration and the tokenizer.

    Args:
        args ([`ModelArguments`]): The settings.
        of_words (`bool`, defaults to `False`): Whether it gets lists of words. A tokenizer that treats a word after a space
            differently from one at the beginning of a text then treats all words as after a space.

    Raises:
        RecipeError: There is no such model, or it can't be loaded.
    """
    name = locate_model(args.model_name_or_path)
    with errors_as(f"the model {args.model_name_or_path!r} can't be loaded", OSError, ValueError, KeyError):
        config = AutoConfig.from_pretrained(locate_model(args.config_name or name), **_options(args))
        options = _options(args)
        if of_words and config.model_type in _SPACED:
            options["add_prefix_space"] = True
        of_tokenizer = locate_model(args.tokenizer_name or name, "tokenizer_config.json", "config.json")
        tokenizer = AutoTokenizer.from_pretrained(of_tokenizer, **options)
    return config, tokenizer


def check_word_ids(tokenizer: Any) -> None:
    """Raise a RecipeError if a tokenizer does not report the words and places that its tokens are from."""
    if not tokenizer.is_fast:
        raise RecipeError(
            f"{type(tokenizer).__name__} does not report which word each token is from. Choose a model with a fast tokenizer: one "
            "with a tokenizer.json."
        )


def check_token_ids(splits: Mapping[str, Dataset], config: Any) -> None:
    """Raise a RecipeError if a text has a token for which the model has no embedding: another model's, or one that was added."""
    limit = getattr(config, "vocab_size", None)
    for name, split in splits.items():
        largest = pc.max(pc.list_flatten(split.with_format("arrow")[:]["input_ids"])).as_py()
        if limit is not None and largest >= limit:
            raise RecipeError(
                f"the {name} split has the token number {largest}, but the model knows {limit} tokens. Use the model's own tokenizer, or "
                "resize the model's embeddings to this one and save it."
            )


def load_model(auto_class: Any, args: ModelArguments, config: Any, *, needs_head: str | None = None) -> Any:
    """Load the model with the head that a class such as `AutoModelForSequenceClassification` adds.

    Args:
        auto_class (`type`): That class.
        args ([`ModelArguments`]): The settings.
        config (`PretrainedConfig`): The configuration, with the labels of the data.
        needs_head (`str`, *optional*): What to do if the checkpoint has no such head. A new head is made by default.

    Raises:
        RecipeError: The model can't be loaded, for one since its head has another size, or it has no head.
    """
    name = locate_model(args.model_name_or_path)
    with errors_as(f"the model {args.model_name_or_path!r} can't be loaded", OSError, ValueError):
        try:
            model, loaded = auto_class.from_pretrained(
                name,
                config=config,
                ignore_mismatched_sizes=args.ignore_mismatched_sizes,
                output_loading_info=True,
                **_options(args),
            )
        except RuntimeError as error:
            raise RecipeError(
                f"the weights of {args.model_name_or_path!r} do not fit. If its head has another number of labels than the data "
                f"({config.num_labels}), --ignore_mismatched_sizes true starts with a new head."
            ) from error
    missing = [key for key in loaded["missing_keys"] if not key.startswith(f"{model.base_model_prefix}.")]
    if missing and needs_head:
        raise RecipeError(
            f"{args.model_name_or_path!r} has no {type(model).__name__} head ({missing[0]}). {needs_head}"
        )
    # BERT's forward takes any keyword, so Trainer 5 concludes that the model averages the loss over the whole update. It
    # does not: loss and gradients would be multiplied by gradient accumulation x processes.
    model.accepts_loss_kwargs = False
    return model


def locate_model(name: str, *needed: str) -> str:
    """Return the folder of `package:...`, else the name. Refuse a folder that is missing or has none of the files needed."""
    if name.startswith("package:"):
        return find_package_model(name)
    path = Path(name).expanduser()
    if path.is_dir():
        needed = needed or ("config.json",)
        if not any((path / each).is_file() for each in needed):
            raise RecipeError(f"the model folder {name} has no {' or '.join(needed)}.")
        return str(path)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        siblings = [str(other) for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise RecipeError(f"no such model folder: {name}.{nearest(str(path), siblings)}")
    return name


def max_length(max_seq_length: int | None, config: Any, tokenizer: Any, default: int = 128) -> int:
    """Return the number of tokens at which texts are cut: the setting, or a default where the model takes that many."""
    positions = getattr(config, "max_position_embeddings", None) or sys.maxsize
    if config.model_type in _POSITIONS_AFTER_PADDING:
        positions -= config.pad_token_id + 1
    limit = min(tokenizer.model_max_length, positions)
    if max_seq_length is not None and max_seq_length > limit:
        raise RecipeError(f"--max_seq_length {max_seq_length} is more than the model takes: at most {limit} tokens.")
    special = tokenizer.num_special_tokens_to_add()
    if max_seq_length is not None and max_seq_length <= special:
        raise RecipeError(
            f"--max_seq_length {max_seq_length} leaves no room for a text beside the {special} special tokens of the model."
        )
    return min(default, limit) if max_seq_length is None else max_seq_length


def count_cut_texts(splits: Mapping[str, Dataset], max_seq_length: int) -> list[str]:
    """Return a line for each split with texts that reach the limit of tokens."""
    counts = {name: int((count_tokens(split) >= max_seq_length).sum()) for name, split in splits.items()}
    return [
        f"{name}: {count} of {len(splits[name])} texts reach the limit of {max_seq_length} tokens; longer ones are cut"
        for name, count in counts.items()
        if count
    ]


def _options(args: ModelArguments) -> dict[str, Any]:
    return {
        "cache_dir": args.cache_dir,
        "revision": args.model_revision,
        "token": args.token,
        "trust_remote_code": args.trust_remote_code,
    }
