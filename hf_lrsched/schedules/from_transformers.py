"""The names that `transformers.get_scheduler` takes, as schedules of this language."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from .arguments import as_count, one_of
from .errors import ScheduleError, brief, nearest
from .families.basic import hold, warmup
from .families.cycles import repeat
from .families.decays import cosine, inverse_sqrt, linear, one_minus_sqrt, polynomial
from .families.plateau import plateau
from .schedule import Schedule

#: transformers lets these be made without an end of the run. Longer than any run, short enough for exact arithmetic.
ENDLESS = 10**15
WITHOUT_END = ("constant", "constant_with_warmup", "inverse_sqrt", "reduce_lr_on_plateau")
WITHOUT_WARMUP = ("constant", "reduce_lr_on_plateau")

_WSD_SHAPES = {"linear": "linear", "cosine": "cosine", "1-sqrt": "one_minus_sqrt"}


def from_transformers(
    name: str, num_warmup_steps: int | None = None, num_training_steps: int | None = None, **kwargs: Any
) -> Schedule:
    """Return the schedule for a name of transformers, with transformers' own arguments.

    Args:
        name (`str`): `linear`, `cosine`, `cosine_with_restarts`, `polynomial`, `constant`, `constant_with_warmup`,
            `inverse_sqrt`, `cosine_with_min_lr`, `cosine_warmup_with_min_lr`, `warmup_stable_decay` or `reduce_lr_on_plateau`.
        num_warmup_steps (`int`, *optional*): Updates of warmup; 0 for none.
        num_training_steps (`int`, *optional*): All updates; `cosine_warmup_with_min_lr` and `warmup_stable_decay` need
            it to know their own lengths.
        kwargs: What transformers takes for this name: `num_cycles`, `power`, `lr_end`, `timescale`, `min_lr`,
            `min_lr_rate`, `warmup_lr_rate`, `num_decay_steps`, `num_stable_steps`, `warmup_type`, `decay_type`,
            `min_lr_ratio`; for `reduce_lr_on_plateau` the arguments of torch's `ReduceLROnPlateau`, with `to`, a factor, in the
            place of `min_lr`, and `metric`, the metric's name.

    Raises:
        ScheduleError: A name or an argument is unknown, or one is missing. No argument is ignored.

    Example:
    ```python
    >>> from_transformers("cosine_with_min_lr", num_warmup_steps=100, min_lr_rate=0.1)
    warmup(100) >> cosine(to=0.1)

    ```
    """
    if name == "greedy":
        raise ScheduleError(
            "'greedy' raises and lowers the LR by each loss and has no equivalent here. Use a plateau, which only lowers it: "
            "'warmup(10%) >> hold() * plateau(factor=0.5, patience=2)'."
        )
    if name not in _BUILDERS:
        raise ScheduleError(
            f"unknown name {brief(name)}; transformers' are {', '.join(_BUILDERS)}.{nearest(name, _BUILDERS)}"
        )
    allowed = list_allowed_arguments(name)
    for key in kwargs:
        if key not in allowed:
            raise ScheduleError(
                f"{name!r} has no argument {key!r}; allowed are {', '.join(allowed) or 'none'}.{nearest(key, allowed)}"
            )
    if num_warmup_steps is not None and num_warmup_steps != 0:
        as_count(num_warmup_steps, "num_warmup_steps")
    if name not in WITHOUT_WARMUP and num_warmup_steps is None:
        raise ScheduleError(f"{name!r} needs num_warmup_steps; 0 for none.")
    return _BUILDERS[name](num_warmup_steps or 0, num_training_steps, **kwargs)


def _warm(steps: int, schedule: Schedule, **kwargs: Any) -> Schedule:
    return schedule if steps == 0 else warmup(steps, **kwargs) >> schedule


def _end(min_lr: float | None, min_lr_rate: float | None) -> dict[str, float]:
    if (min_lr is None) == (min_lr_rate is None):
        raise ScheduleError(f"give one of min_lr and min_lr_rate, got min_lr={min_lr} and min_lr_rate={min_lr_rate}.")
    return {"to": min_lr_rate} if min_lr is None and min_lr_rate is not None else {"to_lr": min_lr or 0.0}


def _cosine_warmup_with_min_lr(
    steps: int,
    total: int | None,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> Schedule:
    """transformers' reaches the peak at the last update of the warmup and the end at the last update of the run."""
    total = _required(total, "cosine_warmup_with_min_lr")
    decay = cosine(cycles=num_cycles, over=max(total - max(steps, 1), 1), **_end(min_lr, min_lr_rate))
    if steps < 2:
        if warmup_lr_rate is not None:
            raise ScheduleError(
                f"warmup_lr_rate={warmup_lr_rate} has no effect with num_warmup_steps={steps}; leave it out."
            )
        return decay
    return warmup(steps - 1, start=1 / steps if warmup_lr_rate is None else warmup_lr_rate) >> decay


def _warmup_stable_decay(
    steps: int,
    total: int | None,
    num_decay_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> Schedule:
    if num_decay_steps is None:
        raise ScheduleError("'warmup_stable_decay' needs num_decay_steps.")
    for key, value in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        one_of(*_WSD_SHAPES)(value, key)
    if num_stable_steps is None:
        num_stable_steps = _required(total, "warmup_stable_decay") - steps - num_decay_steps
        if num_stable_steps < 0:
            raise ScheduleError(
                f"num_warmup_steps and num_decay_steps are {steps} + {num_decay_steps} updates, but the run has {total}."
            )
    decays: dict[str, Any] = {"linear": linear, "cosine": partial(cosine, cycles=num_cycles), "1-sqrt": one_minus_sqrt}
    decay: Schedule = decays[decay_type](to=min_lr_ratio, over=num_decay_steps)
    held = decay if num_stable_steps == 0 else hold(num_stable_steps) >> decay
    return _warm(steps, held, start=min_lr_ratio, shape=_WSD_SHAPES[warmup_type])


def _reduce_lr_on_plateau(
    steps: int, total: int | None, mode: str = "min", min_lr: float = 0.0, eps: float = 1e-8, **rule: Any
) -> Schedule:
    """transformers' has no warmup: it takes num_warmup_steps, and does not use it. The rest of the rule is plateau()'s."""
    if mode == "max" and rule.get("metric", "eval_loss") == "eval_loss":
        raise ScheduleError("mode='max' needs the name of the metric that should rise, e.g. metric='eval_accuracy'.")
    if eps != 1e-8:
        raise ScheduleError(f"eps={eps!r} has no equivalent: plateau() has torch's default, 1e-8. Leave eps out.")
    if min_lr:
        raise ScheduleError(
            f"min_lr={min_lr!r} is an LR, and plateau() ends at a factor: give to=min_lr / learning_rate."
        )
    return hold() * plateau(mode=mode, **rule)


def _required(total: int | None, name: str) -> int:
    if total is None:
        raise ScheduleError(f"{name!r} needs num_training_steps.")
    return total


# Each name's function of the warmup, the updates of the run and what transformers takes for this name.
_BUILDERS: dict[str, Callable[..., Schedule]] = {
    "linear": lambda steps, total: _warm(steps, linear()),
    "cosine": lambda steps, total, num_cycles=0.5: _warm(steps, cosine(cycles=num_cycles)),
    "cosine_with_restarts": lambda steps, total, num_cycles=1: _warm(steps, repeat(cosine(), cycles=num_cycles)),
    "polynomial": lambda steps, total, lr_end=1e-7, power=1.0: _warm(steps, polynomial(power=power, to_lr=lr_end)),
    "constant": lambda steps, total: hold(),  # transformers' takes num_warmup_steps too, and does not use it
    "constant_with_warmup": lambda steps, total: _warm(steps, hold()),
    "inverse_sqrt": lambda steps, total, timescale=None: _warm(steps, inverse_sqrt(timescale=timescale)),
    "cosine_with_min_lr": lambda steps, total, num_cycles=0.5, min_lr=None, min_lr_rate=None: _warm(
        steps, cosine(cycles=num_cycles, **_end(min_lr, min_lr_rate))
    ),
    "cosine_warmup_with_min_lr": _cosine_warmup_with_min_lr,
    "warmup_stable_decay": _warmup_stable_decay,
    "reduce_lr_on_plateau": _reduce_lr_on_plateau,
}

#: The names whose curve follows from the updates alone.
TRANSFORMERS_NAMES = tuple(name for name in _BUILDERS if name != "reduce_lr_on_plateau")


def list_allowed_arguments(name: str) -> tuple[str, ...]:
    """Return what `lr_scheduler_kwargs` may hold for one of transformers' names.

    Example:
    ```python
    >>> list_allowed_arguments("polynomial")
    ('lr_end', 'power')

    ```
    """
    own = tuple(inspect.signature(_BUILDERS[name]).parameters)[2:]
    return own if name != "reduce_lr_on_plateau" else (*inspect.signature(plateau).parameters, "min_lr", "eps")
