"""Models whose loss is averaged over a batch although Trainer takes it to be averaged over the whole update."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def averages_per_batch(forward: Callable[..., Any]) -> bool:
    """Would Trainer multiply this model's loss by gradient accumulation x processes?

    Trainer passes `num_items_in_batch` to a forward that takes any keyword, and from then on takes the loss to be a sum over
    the batch divided by the items of the whole update. This reads the source of the forward: does it have `**kwargs` and
    `labels`, and compute a loss without handing the count on?

    Args:
        forward (`Callable`): A model's method.

    Example:
    ```python
    >>> from transformers import BertForQuestionAnswering
    >>> averages_per_batch(BertForQuestionAnswering.forward)  # it gets no `labels`, by which Trainer would count
    False

    ```
    """
    try:
        parameters = inspect.signature(forward).parameters.values()
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(forward))))
    except (OSError, TypeError, ValueError, SyntaxError):
        return False  # no source, no finding
    names = {parameter.name for parameter in parameters}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    if not takes_any or "labels" not in names or names & {"num_items_in_batch", "loss_kwargs"}:
        return False
    losses = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and "loss" in _called(node).lower()]
    hands_on = any(keyword.arg in (None, "num_items_in_batch") for call in losses for keyword in call.keywords)
    mentions = any(
        node.id == "num_items_in_batch" if isinstance(node, ast.Name) else node.value == "num_items_in_batch"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Constant)
    )
    return bool(losses) and not hands_on and not mentions


def class_averages_per_batch(model_class: Any) -> bool:
    """The same of a model's class, which may say the truth by `accepts_loss_kwargs`."""
    if getattr(model_class, "accepts_loss_kwargs", None) is False:
        return False
    return averages_per_batch(model_class.forward)


def named_model_averages_per_batch(name: str) -> bool:
    """The same of a model that is known by its name alone, such as `google-bert/bert-base-uncased`, fine-tuned to tell texts
    apart, with the transformers that is installed."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSES

    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    # The longest name is the right one: roberta has bert in it.
    kind = max((kind for kind in CLASSES if kind in last), key=len, default=None)
    return kind is not None and architecture_averages_per_batch(CLASSES[kind])


def architecture_averages_per_batch(architecture: str) -> bool:
    """The same of a class of transformers, by its name."""
    import transformers

    try:
        model_class = getattr(transformers, architecture)
    except Exception:  # its own dependencies are missing
        return False
    return class_averages_per_batch(model_class) if hasattr(model_class, "forward") else False


def _called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
