"""Find which part of a model each parameter belongs to, from its name: the head, a layer or the embeddings."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..schedules import ScheduleError
from ..schedules.errors import brief

HEAD = "head"
EMBEDDINGS = "embeddings"

_LAYER = re.compile(r"(?:^|\.)(?:layers?|(?P<shared>albert_layer_groups))\.(?P<number>\d+)\.")
_EMBEDDINGS = re.compile(r"embed|(?:^|\.)(?:wte|wpe|shared|mask_emb|relative_attention_bias)(?:\.|$)")
_ABOVE = re.compile(r"(?:^|\.)(?:pooler|classifier|head|score|lm_head|qa_outputs)\.")
# What DDP, torch.compile, FSDP and peft put before a name; peft's soft prompts have no inner `model.`.
_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.|_fsdp_wrapped_module\.|base_model\.(?:model\.)?)+")
_SOFT_PROMPTS = re.compile(r"(?:^|\.)prompt_encoder\.")  # peft's


@dataclass(frozen=True)
class LayerMap:
    """The part of the model that each parameter belongs to.

    Args:
        parts (`tuple[str, ...]`): All parts from the top down: `head`, `layer_11` … `layer_0`, `embeddings`.
        part_of (`dict[str, str]`): The part of each parameter, by the parameter's name.
        kind_of (`dict[str, str]`): What some parameters are within their part: `tied_head` for embeddings that are the
            output layer, too, and `final_norm` for all of a head that has nothing else.
        num_hidden_layers (`int`, *optional*): How many layers the model runs, if several of them share weights, as in
            ALBERT.
    """

    parts: tuple[str, ...]
    part_of: dict[str, str]
    kind_of: dict[str, str]
    num_hidden_layers: int | None = None

    @property
    def num_layers(self) -> int:
        """The number of layers that have weights of their own."""
        return len(self.parts) - 2

    def layer_numbers(self, part: str | None) -> list[int]:
        """Return the numbers of the layers that use the weights of a part: none for the head and the embeddings."""
        if part is None or not part.startswith("layer_"):
            return []
        number = int(part.removeprefix("layer_"))
        if self.num_hidden_layers is None:
            return [number]
        share = self.num_hidden_layers / self.num_layers  # ALBERT's own rule
        return [each for each in range(self.num_hidden_layers) if int(each / share) == number]


def find_layers(model: Any, layer_pattern: str | None = None) -> LayerMap:
    """Assign each parameter to a part by its name. Layers count whether they are trained or not.

    Args:
        model (`torch.nn.Module`): The model.
        layer_pattern (`str`, *optional*): A regular expression with one group for the layer's number.

    Raises:
        ScheduleError: No layers are found, several stacks of layers are found, or the pattern is invalid.
    """
    names = [name for name, _ in model.named_parameters()]
    plain = {name: _WRAPPERS.sub("", name) for name in names}
    # A BertModel, or a user's own module, contains no base model: all of it is one.
    prefix = f"{getattr(model, 'base_model_prefix', None) or ''}."
    base = {name for name in names if plain[name].startswith(prefix)} or set(names)

    num_hidden_layers = None
    if layer_pattern is not None:
        numbers = _numbers_by_pattern(layer_pattern, names)
    else:
        found = {name: match for name in names if name in base and (match := _LAYER.search(plain[name]))}
        _check_stacks(model, names, [plain[name][: match.start("number")] for name, match in found.items()])
        numbers = {name: int(match["number"]) for name, match in found.items()}
        if any(match["shared"] for match in found.values()):
            num_hidden_layers = getattr(getattr(model, "config", None), "num_hidden_layers", None)

    first_of_a_layer = next(index for index, name in enumerate(names) if name in numbers)
    part_of = {}
    for index, name in enumerate(names):
        if name in numbers:
            part_of[name] = f"layer_{numbers[name]}"
        elif _SOFT_PROMPTS.search(name):
            part_of[name] = HEAD
        elif name in base and _is_below_the_layers(plain[name], list(plain.values()), index < first_of_a_layer):
            part_of[name] = EMBEDDINGS
        else:
            part_of[name] = HEAD
    layers = sorted(set(numbers.values()), reverse=True)
    is_shared = num_hidden_layers is not None and num_hidden_layers > len(layers)
    parts = (HEAD, *(f"layer_{number}" for number in layers), EMBEDDINGS)
    return LayerMap(parts, part_of, _kinds(model, part_of, base), num_hidden_layers if is_shared else None)


def _kinds(model: Any, part_of: Mapping[str, str], base: Collection[str]) -> dict[str, str]:
    """Which parameters of a language model with a tied head are that head, and which are only its final norm."""
    language_model = next((each for each in model.modules() if hasattr(each, "get_output_embeddings")), None)
    output = None if language_model is None else getattr(language_model.get_output_embeddings(), "weight", None)
    tied = {name for name, each in model.named_parameters() if each is output and part_of[name] == EMBEDDINGS}
    head = [name for name, part in part_of.items() if part == HEAD]
    has_only_norm = bool(tied) and all(name in base for name in head)
    return dict.fromkeys(tied, "tied_head") | (dict.fromkeys(head, "final_norm") if has_only_norm else {})


def _is_below_the_layers(name: str, all_names: Sequence[str], is_declared_before: bool) -> bool:
    """Is a parameter that belongs to the base model, but to no layer, below the layers rather than above them?"""
    if _EMBEDDINGS.search(name):
        return True
    if _ABOVE.search(name):
        return False
    # DeBERTa declares the norm and the convolution of its embeddings after its layers.
    encoder, _, rest = name.partition("encoder.")
    if rest.startswith(("LayerNorm.", "conv.")):
        return f"{encoder}encoder.rel_embeddings.weight" in all_names
    return is_declared_before  # modules are declared in the order in which they are used


def _numbers_by_pattern(layer_pattern: str, names: Sequence[str]) -> dict[str, int]:
    pattern = compile_pattern(layer_pattern, "layer_pattern")
    if pattern.groups != 1:
        raise ScheduleError(
            f"layer_pattern needs one group in parentheses, for the layer's number, as in {_example(names)}; "
            f"{brief(layer_pattern)} has {pattern.groups}. Write parentheses that capture nothing as (?:…)."
        )
    matches = {name: match for name in names if (match := pattern.search(name))}
    if not matches:
        raise ScheduleError(
            f"layer_pattern {brief(layer_pattern)} matches no parameter. Examples of their names: {list_some(names)}."
        )
    for name, match in matches.items():
        if not (match[1] or "").isdecimal():
            raise ScheduleError(
                f"layer_pattern {brief(layer_pattern)} captures {match[1]!r} in {name!r}, which is not a layer's number."
            )
    return {name: int(match[1]) for name, match in matches.items()}


def _check_stacks(model: Any, names: Sequence[str], stacks: Sequence[str]) -> None:
    """Refuse a model without layers, and one with several stacks: their names do not say which stack is the upper one."""
    kind, stacks = type(model).__name__, list(dict.fromkeys(stacks))
    if len(stacks) == 1:
        return
    pattern = f"layer_pattern, a regular expression with one group for the layer's number, like {_example(names)}"
    if not stacks:
        raise ScheduleError(
            f"{kind} has no layers that can be found: no parameter is called …layer.0.… or …layers.0.…. Give {pattern}. "
            f"Examples of the parameters' names: {list_some(names)}."
        )
    raise ScheduleError(
        f"the layers of {kind} are numbered in {len(stacks)} places: {list_some([f'{stack}0.' for stack in stacks])}. Give "
        f"{pattern}: layers with the same number then share one LR."
    )


def compile_pattern(pattern: object, name: str) -> re.Pattern[str]:
    """Compile a regular expression; `name` is what an error calls it."""
    if not isinstance(pattern, str):
        raise ScheduleError(f"{name} must be a regular expression, got {brief(pattern)}.")
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ScheduleError(f"{name} is not a regular expression: {brief(pattern)}: {error}.") from error


def list_some(names: Sequence[str], limit: int = 3) -> str:
    """List the first names, and say how many more there are."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more


def _example(names: Sequence[str]) -> str:
    """Return a pattern for the first name that contains a number."""
    numbered = next((match for name in names if (match := re.search(r"\w+\.(?=\d+\.)", name))), None)
    return f"'{re.escape(numbered[0] if numbered else 'blocks.')}(\\d+)\\.'"
