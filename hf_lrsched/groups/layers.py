"""Where each parameter of a model stands, told by its name: in the head, in a layer, or in the embeddings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..schedules import ScheduleError
from ..schedules.errors import brief

HEAD = "head"
EMBEDDINGS = "embeddings"

_LAYER = re.compile(r"(?:^|\.)(?:layers?|(?P<shared>albert_layer_groups))\.(?P<number>\d+)\.")
_EMBEDDINGS = re.compile(r"embed|(?:^|\.)(?:wte|wpe|shared|mask_emb|relative_attention_bias)(?:\.|$)")
_ABOVE = re.compile(r"(?:^|\.)(?:pooler|classifier|head|score|lm_head|qa_outputs)\.")
# What DDP, torch.compile, FSDP and peft put before a name.
_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.|_fsdp_wrapped_module\.|base_model\.model\.)+")


@dataclass(frozen=True)
class Places:
    """The places of a model's parameters.

    Args:
        order (`tuple[str, ...]`): All places from the top down: `head`, `layer_11` … `layer_0`, `embeddings`.
        of (`dict[str, str]`): The place of each parameter, by its name.
        passes (`int`, *optional*): The model's layers, where several share the weights of one, as ALBERT's do.
    """

    order: tuple[str, ...]
    of: dict[str, str]
    passes: int | None = None


def find_places(model: Any, layer_pattern: str | None = None) -> Places:
    """Places from the names of the parameters. Layers count whether they are trained or not.

    Raises:
        ScheduleError: There are no layers to be found, or they are numbered in several places; or the pattern is not one.
    """
    names = [name for name, _ in model.named_parameters()]
    plain = {name: _WRAPPERS.sub("", name) for name in names}
    # BertModel, or a module of one's own, has no base model in it: it is one.
    prefix = f"{getattr(model, 'base_model_prefix', None) or ''}."
    base = {name for name in names if plain[name].startswith(prefix)} or set(names)

    passes = None
    if layer_pattern is not None:
        numbers = _numbers_by_pattern(layer_pattern, names)
    else:
        found = {name: match for name in names if name in base and (match := _LAYER.search(plain[name]))}
        _refuse_unknown(model, names, [plain[name][: match.start("number")] for name, match in found.items()])
        numbers = {name: int(match["number"]) for name, match in found.items()}
        if any(match["shared"] for match in found.values()):
            passes = getattr(getattr(model, "config", None), "num_hidden_layers", None)

    first_of_a_layer = next(index for index, name in enumerate(names) if name in numbers)
    of = {}
    for index, name in enumerate(names):
        if name in numbers:
            of[name] = f"layer_{numbers[name]}"
        elif name in base and _feeds_the_layers(plain[name], list(plain.values()), index < first_of_a_layer):
            of[name] = EMBEDDINGS
        else:
            of[name] = HEAD
    layers = sorted(set(numbers.values()), reverse=True)
    order = (HEAD, *(f"layer_{number}" for number in layers), EMBEDDINGS)
    return Places(order, of, passes if passes is not None and passes > len(layers) else None)


def _feeds_the_layers(name: str, all_names: Sequence[str], is_before_the_layers: bool) -> bool:
    """Of what belongs to the base model and to no layer: is it below the layers, or above them?"""
    if _EMBEDDINGS.search(name):
        return True
    if _ABOVE.search(name):
        return False
    # DeBERTa declares after its layers the norm of its relative embeddings and a convolution of its embeddings.
    encoder, _, rest = name.partition("encoder.")
    if rest.startswith(("LayerNorm.", "conv.")):
        return f"{encoder}encoder.rel_embeddings.weight" in all_names
    return is_before_the_layers  # modules are declared in the order in which they are used


def _numbers_by_pattern(layer_pattern: str, names: Sequence[str]) -> dict[str, int]:
    pattern = compiled(layer_pattern, "layer_pattern")
    if pattern.groups != 1:
        raise ScheduleError(
            f"layer_pattern needs one group in parentheses, for the layer's number, as in {_example(names)}; "
            f"{brief(layer_pattern)} has {pattern.groups}. Parentheses that only hold together are written (?:…)."
        )
    matches = {name: match for name in names if (match := pattern.search(name))}
    if not matches:
        raise ScheduleError(
            f"layer_pattern {brief(layer_pattern)} matches no parameter; their names are like {some(names)}."
        )
    for name, match in matches.items():
        if not (match[1] or "").isdecimal():
            raise ScheduleError(
                f"layer_pattern {brief(layer_pattern)} takes {match[1]!r} in {name!r} for a layer's number."
            )
    return {name: int(match[1]) for name, match in matches.items()}


def _refuse_unknown(model: Any, names: Sequence[str], stacks: Sequence[str]) -> None:
    """No layers, or several stacks of them: which is the upper one is not in their names."""
    kind, stacks = type(model).__name__, list(dict.fromkeys(stacks))
    if not stacks:
        raise ScheduleError(
            f"{kind} has no layers that can be found: no parameter is called …layer.0.… or …layers.0.…. Give layer_pattern, a "
            f"regular expression with one group for the layer's number, like {_example(names)}. The names are like "
            f"{some(names)}."
        )
    if len(stacks) > 1:
        raise ScheduleError(
            f"the layers of {kind} are numbered in {len(stacks)} places: {some([f'{stack}0.' for stack in stacks])}. Give "
            f"layer_pattern, a regular expression with one group for the layer's number, like {_example(names)}: layers of one "
            "number then have one LR."
        )


def compiled(pattern: object, name: str) -> re.Pattern[str]:
    """A regular expression; `name` is how an error calls it."""
    if not isinstance(pattern, str):
        raise ScheduleError(
            f"{name} must be a regular expression, got {brief(pattern)} of type {type(pattern).__name__}."
        )
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ScheduleError(f"{name} is not a regular expression: {brief(pattern)}: {error}.") from error


def some(names: Sequence[str], shown: int = 3) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more


def _example(names: Sequence[str]) -> str:
    """A pattern for the first name that has a number in it."""
    numbered = next((match for name in names if (match := re.search(r"\w+\.(?=\d+\.)", name))), None)
    return f"'{re.escape(numbered[0] if numbered else 'blocks.')}(\\d+)\\.'"
