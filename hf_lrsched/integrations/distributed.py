"""What several processes have to agree on."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, reduce

T = TypeVar("T")

_SHARDING = {"DEEPSPEED": "DeepSpeed", "FSDP": "FSDP", "MEGATRON_LM": "Megatron-LM"}


def on_main_process(look: Callable[[], T]) -> T:
    """Return the main process's result, or raise its error, on every process: what one looks at, another may be changing.

    Every process must call it; none goes on before the main one has looked.

    Args:
        look (`Callable`): Called on the main process only. What it returns or raises must be picklable.

    Raises:
        Exception: What `look` raised.

    Example:
    ```python
    >>> on_main_process(lambda: 2 + 2)
    4

    ```
    """
    outcome: list[Any] = [None, None]
    state = PartialState()
    if state.is_main_process:
        try:
            outcome[0] = look()
        except Exception as error:  # whatever it is: the others wait for an answer
            outcome[1] = error
    if state.num_processes > 1:
        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    result: T = outcome[0]
    return result


def get_sharding() -> str | None:
    """Return the name of what shards weights, gradients or the optimizer's state over the processes, if something does."""
    return _SHARDING.get(str(PartialState().distributed_type.value))


def is_true_anywhere(flag: bool) -> bool:
    """Return whether a flag is true on any process. Every process must call it.

    Example:
    ```python
    >>> is_true_anywhere(False)
    False

    ```
    """
    state = PartialState()
    if state.num_processes == 1:
        return flag
    total = torch.tensor([float(flag)], device=state.device)
    return bool(reduce(total, reduction="sum").item())
