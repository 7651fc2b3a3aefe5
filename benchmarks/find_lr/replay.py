"""The search on the runs of the grid: what it suggests, what that costs, and what it loses, beside simpler methods.

    python benchmarks/find_lr/replay.py > benchmarks/results/find_lr_replay.md

A probe of the search is the run of the grid with the nearest LR and length. Runs of one task, model and optimizer are
shared: a run of one epoch is a probe of a run of three. What an LR loses, the regret, is the accuracy of the best LR of
the grid minus that of the LR, which is interpolated linearly in the logarithm between the LRs of the grid. Where the runs
in full have several seeds, accuracies are their means; probes are those of seed 0.

The method was made on the settings of `grid.jsonl`. Those of `fresh.jsonl`, if there is one, were trained afterwards, and
are for measuring it.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from unittest import mock

import numpy as np
from split import ROWS, Run, read_grid, split_settings

from hf_lrsched.search import method
from hf_lrsched.search.method import Plan, Point, choose_horizons, estimate, find_valley, next_probe

FRESH = ROWS.with_name("fresh.jsonl")
DEFAULT_LR = 5e-5
#: The best for the settings of the grid if all have one: for methods that do not estimate it.
SINGLE_EXPONENT = 0.4
#: A new head's loss is about the logarithm of the number of labels. Of masked language models it is not known here.
LABELS = {"sst2": 2, "banking77": 77, "messages": 3}


@dataclass(frozen=True)
class Setting:
    """A setting of the grid.

    Args:
        name (`str`): Its name.
        full (`list[Run]`): The runs in full, by LR.
        probes (`dict[int, dict[float, Run]]`): Shorter runs of the same task, model and optimizer, by updates and LR.
    """

    name: str
    full: list[Run]
    probes: dict[int, dict[float, Run]]

    @property
    def total(self) -> int:
        return self.full[0].updates

    @property
    def lrs(self) -> list[float]:
        return sorted(next(iter(self.probes.values())))

    def nearest_horizon(self, updates: float) -> int:
        return min(self.probes, key=lambda each: abs(math.log(each / updates)))

    def loss(self, lr: float, updates: int) -> float:
        """Of a probe, interpolated between the LRs of the grid."""
        lrs = self.lrs
        return float(np.interp(math.log2(lr), np.log2(lrs), [self.probes[updates][each].loss for each in lrs]))

    def regret(self, lr: float) -> float:
        """In points of accuracy."""
        octaves, accuracies = np.log2([run.lr for run in self.full]), np.array([run.accuracy for run in self.full])
        return 100 * float(accuracies.max() - np.interp(math.log2(lr), octaves, accuracies))

    @property
    def best_lr(self) -> float:
        """The LR of the highest accuracy."""
        return max(self.full, key=lambda run: run.accuracy).lr


def load(runs: dict[str, list[Run]], name: str) -> Setting:
    """Collect the runs of a setting, and those that are probes of it."""
    full = [run for run in runs[name] if run.share == 1.0]
    family = name.rpartition("/")[0]
    probes: dict[int, dict[float, Run]] = {}
    for run in (run for other, several in runs.items() if other.rpartition("/")[0] == family for run in several):
        if run.updates < full[0].updates:
            probes.setdefault(run.updates, {})[run.lr] = run
    return Setting(name, full, {updates: found for updates, found in sorted(probes.items()) if len(found) == 8})


@dataclass(frozen=True)
class Outcome:
    """What a method suggests, what it cost in full runs, whether its range holds the best LR, and whether it warns."""

    lr: float
    cost: float
    is_in_range: bool | None = None
    warns: bool = False


def search(setting: Setting, offset: int, shares: tuple[float, ...] = ()) -> Outcome:
    """The search, with its first probe `offset` LRs of the grid from the grid's middle.

    `shares` are other lengths of probes: the two shortest of them that are long enough.
    """
    wanted = [
        updates for updates in (round(setting.total * share) for share in shares) if updates >= method.MIN_UPDATES
    ]
    wanted = wanted[:2] or list(choose_horizons(setting.total))
    horizons = tuple(sorted({setting.nearest_horizon(updates) for updates in wanted}))
    lrs = setting.lrs
    labels = LABELS.get(setting.name.partition("/")[0])
    start_loss = math.nan if labels is None else math.log(labels)
    plan = Plan(setting.total, horizons, lrs[len(lrs) // 2 + offset], lrs[0], lrs[-1], start_loss=start_loss)
    points: list[Point] = []
    while (probe := next_probe(points, plan)) is not None:
        lr = min(lrs, key=lambda each: abs(math.log(each / probe[0])))
        if any(point.lr == lr and point.updates == probe[1] for point in points):
            lr = probe[0]  # the grid has no LR between two that are known
        points.append(Point(lr, probe[1], setting.loss(lr, probe[1])))
    found = estimate(points, plan)
    cost = sum(point.updates for point in points) / setting.total
    return Outcome(found.lr, cost, found.low <= setting.best_lr <= found.high, bool(found.notes))


def search_with_exponent(setting: Setting, offset: int, exponent: float) -> Outcome:
    """The same search with one exponent for all tasks. One of 0: as if the best LR did not depend on the length of the run."""
    with mock.patch.object(method, "estimate_exponent", lambda by_horizon: exponent):
        return search(setting, offset)


def search_before(setting: Setting, offset: int) -> Outcome:
    """The method of before: long probes of 1/8, and an exponent that the two valleys show, held near 0.4 ± 0.25."""

    def fit_exponent(by_horizon: Sequence[Sequence[Point]]) -> float:
        valleys = [find_valley(group) for group in by_horizon]
        design = np.array([[1.0, -math.log2(valley.updates)] for valley in valleys])
        weights = np.array([valley.std**-2.0 for valley in valleys])
        precision = design.T @ (design * weights[:, None]) + np.diag([0.0, 0.25**-2.0])
        target = design.T @ (weights * np.log2([valley.lr for valley in valleys])) + [0.0, 0.4 / 0.25**2]
        return float(np.linalg.solve(precision, target)[1])

    with mock.patch.multiple(method, estimate_exponent=fit_exponent, EXPONENT_STD=0.0):
        return search(setting, offset, (1 / 16, 1 / 8, 1 / 4))


def _eighth(setting: Setting) -> list[Point]:
    updates = setting.nearest_horizon(setting.total / 8)
    return [Point(lr, updates, run.loss) for lr, run in setting.probes[updates].items()]


def best_probe(setting: Setting, offset: int) -> Outcome:
    """The best of eight probes of an eighth, as it stands."""
    points = _eighth(setting)
    best = min(points, key=lambda point: point.loss if math.isfinite(point.loss) else math.inf)
    return Outcome(best.lr, sum(point.updates for point in points) / setting.total)


def quadratic(setting: Setting, offset: int) -> Outcome:
    """The bottom of one parabola in the logarithm of the LR through all eight probes of an eighth."""
    points = _eighth(setting)
    octaves, losses = np.log2([point.lr for point in points]), [point.loss for point in points]
    a, b, _ = np.polyfit(octaves, losses, 2)
    octave = -b / (2 * a) if a > 0 else octaves[int(np.argmin(losses))]
    lr = 2.0 ** float(np.clip(octave, octaves.min(), octaves.max()))
    return Outcome(lr, sum(point.updates for point in points) / setting.total)


def corrected_probe(setting: Setting, offset: int) -> Outcome:
    """The valley of eight probes of an eighth, with the power law: one horizon, no search."""
    valley = find_valley(_eighth(setting))
    lr = valley.lr * (valley.updates / setting.total) ** SINGLE_EXPONENT
    return Outcome(lr, 8 * valley.updates / setting.total)


def default(setting: Setting, offset: int) -> Outcome:
    """Trainer's own default."""
    return Outcome(DEFAULT_LR, 0.0)


METHODS: dict[str, Callable[[Setting, int], Outcome]] = {
    "find_lr": search,
    f"find_lr with an exponent of {SINGLE_EXPONENT} for all": partial(search_with_exponent, exponent=SINGLE_EXPONENT),
    "find_lr with the estimate of before": search_before,
    "find_lr without the power law": partial(search_with_exponent, exponent=0.0),
    f"8 probes of 1/8, their valley, with an exponent of {SINGLE_EXPONENT}": corrected_probe,
    "8 probes of 1/8, one parabola through all": quadratic,
    "8 probes of 1/8, the best as it stands": best_probe,
    f"Trainer's default, {DEFAULT_LR:g}": default,
}
#: The first LR of a search is in the middle of the grid, and one LR to each side.
OFFSETS = (-1, 0, 1)


NOTE = """# find_lr on the runs of the grid

Made by `python benchmarks/find_lr/replay.py` from `benchmarks/find_lr/grid.jsonl`{fresh}. Regret: points of accuracy
below the best LR of the grid. Cost: updates of all probes, in full runs. Each search is replayed with three first
LRs, a factor of two apart. Where the truth is one seed, a point or two of regret is noise.

This version of the method was made on all settings of `grid.jsonl`, so its figures on them say how well it fits, not how
good it is on others. What is fresh was trained afterwards, and is measured once. The fresh runs with SGD fall from 89 to 33
points between two LRs of the grid, and the suggestions lie there: three runs with them were added. Interpolated between the
grid's LRs alone, the mean regret of that setting would be 9.23.

The version before was made on one half of these settings and measured on the other. On that half its mean regret was 2.15
points, its worst 11.70, its cost 0.70; on all 1.63, 11.70 and 0.65. Its estimate, with probes that are chosen as they are
now, is among the methods below. It had long probes of 1/8, and an exponent that the two valleys show, held near 0.4 ± 0.25.

Full runs are missing for {missing}. The range tests, Prodigy and D-Adaptation are in `find_lr_live.md`.
"""


def main() -> None:
    grid = read_grid()
    fresh = read_grid(FRESH) if FRESH.exists() else {}
    runs = {**grid, **fresh}
    groups = {"made on": [*itertools.chain(*split_settings(grid))], "fresh": [*itertools.chain(*split_settings(fresh))]}
    groups = {title: names for title, names in groups.items() if names}
    loaded = {name: load(runs, name) for names in groups.values() for name in names}
    missing = ", ".join(name for name in runs if name not in loaded)
    print(NOTE.format(fresh=" and `fresh.jsonl`" if fresh else "", missing=missing))
    for title, names in groups.items():
        print(f"## {title}: {len(names)} settings\n")
        print("| method | mean regret | worst regret | mean cost | range holds the best |\n|---|---|---|---|---|")
        for label, run in METHODS.items():
            outcomes = [(loaded[name], run(loaded[name], offset)) for name in names for offset in OFFSETS]
            regrets = [setting.regret(outcome.lr) for setting, outcome in outcomes]
            held = [outcome.is_in_range for _, outcome in outcomes if outcome.is_in_range is not None]
            cost = np.mean([outcome.cost for _, outcome in outcomes])
            share = f"{100 * np.mean(held):.0f} %" if held and run is search else "–"
            print(f"| {label} | {np.mean(regrets):.2f} | {max(regrets):.2f} | {cost:.2f} | {share} |")
        print()
    print("## Each setting\n")
    print("Of the three first LRs: the median suggestion, and the mean and the worst regret.")
    print("Warned: of the three, how many said that the suggestion is uncertain.\n")
    print("| group | setting | seeds | best LR | find_lr | mean regret | worst | cost | warned |")
    print("|---|---|---|---|---|---|---|---|---|")
    for title, names in groups.items():
        for name in names:
            setting = loaded[name]
            found = [search(setting, offset) for offset in OFFSETS]
            regrets = [setting.regret(each.lr) for each in found]
            suggestion, cost = np.median([each.lr for each in found]), np.mean([each.cost for each in found])
            print(
                f"| {title} | {name} | {min(run.seeds for run in setting.full)} | {setting.best_lr:.2g} | {suggestion:.2g} | "
                f"{np.mean(regrets):.2f} | {max(regrets):.2f} | {cost:.2f} | {sum(each.warns for each in found)} |"
            )


if __name__ == "__main__":
    main()
