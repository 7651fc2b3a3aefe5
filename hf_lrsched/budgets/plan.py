"""The plan: where each budget branches off from the trunk, and with which schedule. No torch, no transformers.

With H updates of warmup and a cooldown of C updates, a budget of T updates is the schedule `warmup(H) >> hold() >>
one_minus_sqrt(over=C)`. Budgets differ only in where the cooldown begins, so one run that holds its LR, the trunk, has their
first T - C updates in common (Hägele et al., 2024, arXiv 2405.18392).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from ..schedules import Horizon, Length, Phase, Schedule, ScheduleError, as_length, parse, warmup
from ..schedules.arguments import as_positive, one_of
from ..schedules.errors import brief
from ..schedules.parser import as_schedule
from ..schedules.schedule import Product, get_parts
from ..schedules.schedule import Sequence as Phases
from ..schedules.shapes import BY_NAME

#: The warmup of a Trainer whose schedule begins with none, as a share of the smallest budget.
DEFAULT_WARMUP = warmup("10%")
#: The LR that a trunk holds, as a factor of the peak LR of a decay.
HELD_PEAK = 0.5
#: What a budget may be counted in: its unit, and an example.
_UNITS = {"ep": "epochs (2ep)", "": "updates (500)", "sa": "samples (50000sa)"}


@dataclass(frozen=True)
class Budget:
    """One budget.

    Args:
        name (`str`): As it was given: `2ep`.
        updates (`int`): Its length.
        branch_at (`int`): The updates that it has in common with the trunk.
        schedule (`str`): Its whole schedule.
    """

    name: str
    updates: int
    branch_at: int
    schedule: str

    @property
    def cooldown(self) -> int:
        """The updates of its cooldown."""
        return self.updates - self.branch_at


@dataclass(frozen=True)
class Plan:
    """The trunk and its branches.

    Args:
        trunk (`str`): The schedule of the trunk.
        budgets (`tuple[Budget, ...]`): The budgets, the smallest first.

    Example:
    ```python
    >>> plan = make_plan("1ep, 3ep", Horizon(1, updates_per_epoch=100), parse("warmup(10%) >> linear()"))
    >>> print(plan)
    trunk: warmup(10) >> hold(), 240 updates
    1ep: 100 updates, branches off at 80: warmup(10) >> hold() >> one_minus_sqrt(over=20)
    3ep: 300 updates, branches off at 240: warmup(10) >> hold() >> one_minus_sqrt(over=60)
    320 updates instead of 400 for separate runs: 0.8 of their cost

    ```
    """

    trunk: str
    budgets: tuple[Budget, ...]

    @property
    def updates(self) -> int:
        """The updates of the trunk and of all cooldowns."""
        return self.budgets[-1].branch_at + sum(budget.cooldown for budget in self.budgets)

    def __str__(self) -> str:
        separate = sum(budget.updates for budget in self.budgets)
        lines = [f"trunk: {self.trunk}, {self.budgets[-1].branch_at:,} updates"]
        for each in self.budgets:
            lines.append(f"{each.name}: {each.updates:,} updates, branches off at {each.branch_at:,}: {each.schedule}")
        cost = f"{self.updates / separate:.2g} of their cost"
        return "\n".join([*lines, f"{self.updates:,} updates instead of {separate:,} for separate runs: {cost}"])


def make_plan(
    budgets: Iterable[Any] | str,
    horizon: Horizon,
    own: Schedule,
    schedule: Schedule | str | None = None,
    cooldown: Any = "20%",
    shape: str = "one_minus_sqrt",
    peak: Any = 1.0,
) -> Plan:
    """Plan the trunk and the branches.

    Args:
        budgets (`Iterable` or `str`): The budgets in rising order; a text has them separated by commas.
        horizon ([`Horizon`]): What is known of the run. Without `updates_per_epoch` the data has no length, and lasts for
            `num_updates`.
        own ([`Schedule`]): The Trainer's schedule. Its warmup is used, or 10 % of the smallest budget where it has none.
        schedule ([`Schedule`] or `str`, *optional*): The trunk's schedule instead, such as `warmup(100) >> hold()`. Shares are
            shares of the smallest budget.
        cooldown (length, defaults to `20%`): The cooldown of each budget. A share is a share of the budget.
        shape (`str`, defaults to `one_minus_sqrt`): The shape of the cooldown: `one_minus_sqrt`, `linear` or `cosine`.
        peak (factor, defaults to 1): How high the Trainer's own warmup climbs, as a factor of its own top. `None` stands for 1
            where the schedule holds its peak for half of the run or more, else for 0.5.

    Raises:
        ScheduleError: A budget or the schedule is invalid.
    """
    one_of(*BY_NAME)(shape, "shape")
    peak = None if peak is None else as_positive(peak, "peak")
    lengths = _read_lengths(budgets, horizon)
    smallest = replace(horizon, num_updates=next(iter(lengths.values())))
    climb = [_fix_length(part, smallest) for part in _find_climb(own, schedule, peak, horizon)]
    held = sum(math.ceil(part.length(smallest) or 0) for part in climb)
    cooling = as_length(cooldown, "cooldown")
    trunk = " >> ".join([*map(str, climb), "hold()"])
    planned = []
    for name, updates in lengths.items():
        size = math.ceil(cooling.updates(replace(horizon, num_updates=updates)))
        if held + size >= updates:
            raise ScheduleError(
                f"the budget {name} is {updates:,} updates, but {' and '.join([*map(str, climb), 'its cooldown'])} take {held + size:,}, "
                "and one update must be held between them. Leave this budget out, or shorten cooldown= or the warmup."
            )
        if size < 2:
            raise ScheduleError(
                f"the cooldown of the budget {name} ({updates:,} updates) is {size} update, and the first update of a cooldown still has "
                "the LR that was held. Leave this budget out, or give a cooldown= of 2 updates or more."
            )
        # Read back, so that the text is the one that the scheduler's state has.
        planned.append(Budget(name, updates, updates - size, str(parse(f"{trunk} >> {shape}(over={size})"))))
    return Plan(trunk, tuple(planned))


def check_own_schedules(plan: Plan, horizon: Horizon, groups: Iterable[Mapping[str, Any]]) -> None:
    """Refuse groups whose own schedule would give a branch other LRs than its separate run has.

    Args:
        plan ([`Plan`]): The plan.
        horizon ([`Horizon`]): As for [`make_plan`].
        groups (`Iterable[Mapping]`): The parameter groups of the optimizer.

    Raises:
        ScheduleError: Before a budget branches off, the LRs of a group depend on the length of the run.
    """
    *others, longest = plan.budgets
    for index, group in enumerate(groups):
        if (text := group.get("schedule")) is None:
            continue
        own, peak = as_schedule(text), float(group.get("initial_lr", group["lr"]))
        trunk = own.resolve(replace(horizon, num_updates=longest.updates), peak=peak)
        for budget in others:
            updates = range(budget.branch_at)
            branch = own.resolve(replace(horizon, num_updates=budget.updates), peak=peak)
            if (trunk(updates) != branch(updates)).any():
                raise ScheduleError(
                    f"the group {group.get('name', f'group_{index}')!r} has a schedule of its own, {str(own)!r}, whose LRs before update "
                    f"{budget.branch_at:,} depend on the length of the run, so the budgets {budget.name} and {longest.name} cannot share "
                    "them. Give its lengths in updates or epochs and let it end with hold(), e.g. 'warmup(100) >> hold()', or leave "
                    "it out."
                )


def _read_lengths(budgets: Iterable[Any] | str, horizon: Horizon) -> dict[str, int]:
    """The updates of each budget by its name."""
    if not isinstance(budgets, Iterable):
        raise ScheduleError(f"budgets must be a list of lengths, such as ['1ep', '2ep', '4ep'], got {brief(budgets)}.")
    given = [each.strip() for each in budgets.split(",")] if isinstance(budgets, str) else [*budgets]
    if not given:
        raise ScheduleError("budgets is empty. Give the lengths to train for, e.g. ['1ep', '2ep', '4ep'].")
    found: list[tuple[str, int]] = []
    for each in given:
        length = as_length(each, "a budget")
        if length.unit not in _UNITS:
            raise ScheduleError(
                f"a budget is counted in {', '.join(_UNITS.values())}; got {brief(each)}, whose updates are not known before the run."
            )
        if length.unit == "ep" and horizon.updates_per_epoch is None:
            raise ScheduleError(
                f"the budget {length} has no meaning here: train_dataset has no length, so an epoch has none. Write it in updates (500)."
            )
        found.append((str(length), math.ceil(length.updates(horizon))))
    for (name, updates), (later, more) in pairwise(found):
        if updates == more:
            raise ScheduleError(f"the budgets {name} and {later} are both {more:,} updates. Leave one out.")
        if updates > more:
            raise ScheduleError(f"budgets must rise, but {later} ({more:,} updates) follows {name} ({updates:,}).")
    name, longest = found[-1]
    if horizon.updates_per_epoch is None and longest > horizon.num_updates:
        raise ScheduleError(
            f"the budget {name} is longer than the data: train_dataset has no length, and max_steps={horizon.num_updates:,} says how "
            f"long it lasts. Raise max_steps to {longest:,} if it lasts so long, or leave this budget out."
        )
    return dict(found)


def _find_climb(
    own: Schedule, schedule: Schedule | str | None, peak: float | None, horizon: Horizon
) -> Sequence[Phase]:
    """The phases of the trunk before it holds."""
    if schedule is None:
        firsts = (get_parts(factor, Phases)[0] for factor in get_parts(own, Product))
        first = next((each for each in firsts if isinstance(each, Phase) and each.name == "warmup"), DEFAULT_WARMUP)
        return [_scale(first, peak, 1.0 if peak is None and _holds_its_peak(own, horizon) else HELD_PEAK)]
    if peak not in (None, 1):
        raise ScheduleError(
            f"peak={peak!r} and schedule={str(schedule)!r} both say which LR is held. Give one of them: "
            "'warmup(10%, to=0.5) >> hold()' holds half of the learning rate."
        )
    *climb, last = get_parts(as_schedule(schedule), Phases)
    if not (isinstance(last, Phase) and last.name == "hold" and "over" not in dict(last.arguments)):
        raise ScheduleError(
            f"schedule={str(schedule)!r} does not end with hold(), so no budget can branch off from it. Give what comes before the "
            "cooldown, e.g. schedule='warmup(10%) >> hold()'; cooldown= and shape= are what comes after it."
        )
    phases: list[Phase] = []
    for part in climb:
        if not (isinstance(part, Phase) and isinstance(dict(part.arguments).get("over"), Length)):
            raise ScheduleError(
                f"{part} in schedule={str(schedule)!r} has no length of its own. Before hold(), each phase of a budget search has one, "
                "e.g. 'warmup(10%) >> hold()'."
            )
        phases.append(part)
    return phases


def _holds_its_peak(own: Schedule, horizon: Horizon) -> bool:
    """Whether a run has its highest LR for half of its updates or more: a constant LR, or one that decays at the end."""
    try:
        factors = own.resolve(horizon)(np.arange(horizon.num_updates))
    except ScheduleError:  # the schedule does not fit into the run that the Trainer itself would make
        return False
    return bool(np.mean(factors >= 0.999 * factors.max()) >= 0.5)


def _scale(first: Phase, peak: float | None, default: float) -> Phase:
    """A warmup with another top."""
    arguments: dict[str, Any] = dict(first.arguments)
    is_in_lr = "to_lr" in arguments
    if is_in_lr and peak not in (None, 1):
        raise ScheduleError(f"peak={peak!r} does not scale {first}, which climbs to an LR. Leave out one of them.")
    factor = default if peak is None else peak
    if factor == 1 or is_in_lr:
        return first
    given = {name: arguments[name] for name in ("start", "to") if arguments.get(name) is not None}
    scaled = {name: float(f"{factor * value:.12g}") for name, value in given.items()}
    return replace(first, arguments=(*{**arguments, "to": factor, **scaled}.items(),))


def _fix_length(phase: Phase, horizon: Horizon) -> Phase:
    """The phase with its length in updates, the same for all budgets."""
    size = math.ceil(phase.length(horizon) or 0)
    return replace(phase, arguments=tuple({**dict(phase.arguments), "over": Length(Fraction(size))}.items()))
