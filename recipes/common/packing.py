"""Pack the texts of a batch into rows with next to no padding, for models that predict each token by itself."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import transformers
from transformers import TrainingArguments

from .losses import IGNORED

#: Models that take the position and the neighbours of each token as inputs, and whether their positions begin after that of padding.
_PACKABLE = {"bert": False, "roberta": True, "xlm-roberta": True, "camembert": True}
#: A row has at most this many tokens, or twice those of the longest text. Attention costs more in longer rows: with 256 tokens, on
#: texts of 15, it took all that packing saved.
MIN_ROW_LIMIT = 64
#: transformers 4 takes a mask of shape (rows, tokens, tokens), transformers 5 one that also has an axis for the heads.
_IS_FIVE = int(transformers.__version__.partition(".")[0]) >= 5


class PackingCollator:
    r"""Put the texts of a batch one after another into rows.

    Each text keeps its own positions. If it attends to nothing but itself, see [`separate_texts`], outputs, loss and gradients are
    those of the padded batch. Where lengths vary, a batch in random order computes two or three times the tokens that it has.
    Packed, it computes 1.02 to 1.1 times, if texts have up to about 128 tokens. Packing saves less the longer they are: a row of 512
    tokens holds one text of 300 to 511, as a padded one does.

    Args:
        collator (`Callable`): Makes a padded batch of samples: tensors of shape (texts, tokens).
        config (`PretrainedConfig`): The model's configuration.
    """

    def __init__(self, collator: Callable[[list[Any]], Mapping[str, torch.Tensor]], config: Any):
        self.collator = collator
        self.first_position = config.pad_token_id + 1 if _PACKABLE[config.model_type] else 0
        self.padding = {"input_ids": config.pad_token_id, "labels": IGNORED}
        self.limit = config.max_position_embeddings - self.first_position

    def __call__(self, samples: list[Any]) -> dict[str, torch.Tensor]:
        batch = self.collator(samples)
        kept = batch["attention_mask"].bool()
        lengths = kept.sum(dim=1).numpy()
        rows = fill_rows(lengths, min(max(MIN_ROW_LIMIT, 2 * lengths.max()), self.limit))
        shape = len(rows), max(lengths[texts].sum() for texts in rows)
        # Of each place: the position in its text, and the place in the padded batch that it is from, or -1.
        position, source = torch.full(shape, 0), torch.full(shape, -1)
        for row, texts in enumerate(rows):
            width = lengths[texts].sum()
            position[row, :width] = torch.from_numpy(np.concatenate([np.arange(lengths[each]) for each in texts]))
            source[row, :width] = torch.cat([kept[each].nonzero()[:, 0] + each * kept.shape[1] for each in texts])
        is_token = source >= 0
        packed = {
            name: values.flatten()[source].where(is_token, self.padding.get(name, 0)) for name, values in batch.items()
        }
        return {**packed, "attention_mask": is_token.long(), "position_ids": position + self.first_position}


def separate_texts(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a packed batch whose `attention_mask` lets each text attend to itself only.

    The mask of the batch itself, of shape (rows, tokens), is what Trainer counts tokens with.
    """
    is_token, position = batch["attention_mask"].bool(), batch["position_ids"]
    text = (position == position.min()).cumsum(dim=1).where(is_token, -1)
    # The padding at the end of a row attends to itself, since attention to nothing is not a number.
    attends = text[:, :, None] == text[:, None, :]
    return {**batch, "attention_mask": attends[:, None] if _IS_FIVE else attends}


def find_obstacle(model: Any, args: TrainingArguments) -> str | None:
    """Return why the texts of a training batch can't be packed, or `None` if they can."""
    config = model.config
    # Code from the Hub may give its model the type of another one.
    if not type(model).__module__.startswith("transformers.models.") or config.model_type not in _PACKABLE:
        return f"packing does not support {type(model).__name__}"
    if config._attn_implementation != "sdpa":
        return f"packing needs the attention sdpa, and the model has {config._attn_implementation}"
    if config.is_decoder:
        return "packing needs a model whose tokens attend to both sides"
    if args.n_gpu > 1:
        return f"this process shares the rows of a batch out among {args.n_gpu} devices; start one process for each"
    if args.accelerator_config.dispatch_batches or args.accelerator_config.split_batches:
        return "accelerator_config shares the rows of a batch out among processes (dispatch_batches, split_batches)"
    return None


def fill_rows(lengths: np.ndarray, max_row_length: int) -> list[list[int]]:
    """Share texts out among rows, so that the rows have about the same number of tokens.

    Args:
        lengths (`np.ndarray`): The number of tokens of each text.
        max_row_length (`int`): The maximum number of tokens of a row, at least those of the longest text.

    Returns:
        `list[list[int]]`: The texts of each row. Of a few numbers of rows, that with the least padding is taken.
    """
    min_rows = -(-int(lengths.sum()) // int(max_row_length))
    filled, min_cells = [[text] for text in range(len(lengths))], len(lengths) * lengths.max()
    for count in range(min_rows, min(min_rows + 3, len(lengths))):
        rows: list[list[int]] = [[] for _ in range(count)]
        tokens = np.zeros(count, dtype=int)
        for text in np.argsort(-lengths, kind="stable").tolist():
            row = tokens.argmin()
            rows[row].append(text)
            tokens[row] += lengths[text]
        if tokens.max() <= max_row_length and count * tokens.max() < min_cells:
            filled, min_cells = rows, count * tokens.max()
    return filled
