"""The search on the runs of the grid: what it suggests, what that costs, and what it loses, beside simpler methods.

    python benchmarks/find_lr/replay.py > benchmarks/results/find_lr_replay.md

A probe of the search is the run of the grid with the nearest LR and length. Runs of one task, model and optimizer are
shared: a run of one epoch is a probe of a run of three. What an LR loses, the regret, is the accuracy of the best LR of
the grid minus that of the LR, which is interpolated linearly in the logarithm between the LRs of the grid. Where the runs
in full have several seeds, accuracies are their means; probes are those of seed 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from split import Run, read_grid, split_settings

from hf_lrsched.search import method
from hf_lrsched.search.method import Plan, Point, choose_horizons, estimate, find_valley, next_probe

DEFAULT_LR = 5e-5
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


def search(setting: Setting, offset: int) -> Outcome:
    """The search, with its first probe `offset` LRs of the grid from the grid's middle."""
    wanted = [setting.nearest_horizon(updates) for updates in choose_horizons(setting.total)]
    horizons = tuple(sorted(set(wanted)))
    lrs = setting.lrs
    plan = Plan(setting.total, horizons, lrs[len(lrs) // 2 + offset], lrs[0], lrs[-1])
    points: list[Point] = []
    while (probe := next_probe(points, plan)) is not None:
        lr = min(lrs, key=lambda each: abs(math.log(each / probe[0])))
        if any(point.lr == lr and point.updates == probe[1] for point in points):
            break  # the grid has no LR between two that are known
        points.append(Point(lr, probe[1], setting.probes[probe[1]][lr].loss))
    labels = LABELS.get(setting.name.partition("/")[0])
    found = estimate(points, plan, start_loss=math.nan if labels is None else math.log(labels))
    cost = sum(point.updates for point in points) / setting.total
    return Outcome(found.lr, cost, found.low <= setting.best_lr <= found.high, bool(found.notes))


def search_uncorrected(setting: Setting, offset: int) -> Outcome:
    """The same search, as if the best LR did not depend on the length of the run."""
    kept = method.EXPONENT, method.EXPONENT_STD
    method.EXPONENT, method.EXPONENT_STD = 0.0, 1e-6
    try:
        return search(setting, offset)
    finally:
        method.EXPONENT, method.EXPONENT_STD = kept


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
    lr = valley.lr * (valley.updates / setting.total) ** method.EXPONENT
    return Outcome(lr, 8 * valley.updates / setting.total)


def default(setting: Setting, offset: int) -> Outcome:
    """Trainer's own default."""
    return Outcome(DEFAULT_LR, 0.0)


METHODS: dict[str, Callable[[Setting, int], Outcome]] = {
    "find_lr": search,
    "find_lr without the power law": search_uncorrected,
    "8 probes of 1/8, their valley, with the power law": corrected_probe,
    "8 probes of 1/8, one parabola through all": quadratic,
    "8 probes of 1/8, the best as it stands": best_probe,
    f"Trainer's default, {DEFAULT_LR:g}": default,
}
#: The first LR of a search is in the middle of the grid, and one LR to each side.
OFFSETS = (-1, 0, 1)


def main() -> None:
    runs = read_grid()
    halves = dict(zip(("making", "measuring"), split_settings(runs), strict=True))
    shared = ["banking77/minilm/adamw/0.25ep", "sst2/minilm/adamw/0.25ep"]
    print("# find_lr on the runs of the grid\n")
    print(
        "Made by `python benchmarks/find_lr/replay.py` from `benchmarks/find_lr/grid.jsonl`. Regret: points of accuracy"
    )
    print(
        "below the best LR of the grid. Cost: updates of all probes, in full runs. Each search is replayed with three first"
    )
    print("LRs, a factor of two apart.\n")
    print(
        "The method was made on one half of the settings and measured on the other, once. Where the truth is one seed, a"
    )
    print(
        "point or two of regret is noise. Of the measured half, two settings are not new: their full runs are probes of"
    )
    print(f"settings of the first half ({', '.join(shared)}).")
    print(
        "Afterwards one rule was added: where no probe learned anything, the suggestion is the first LR of the search. It"
    )
    print(
        "changes one setting of the measured half, messages/scratch, whose regret was 8.80 before (mean of the half: 2.40; both with one seed).\n"
    )
    missing = [name for name in runs if not any(name in names for names in halves.values())]
    print(f"Full runs are missing for {', '.join(missing)}. The range tests, Prodigy and D-Adaptation are in")
    print("`find_lr_live.md`.\n")
    loaded = {name: load(runs, name) for names in halves.values() for name in names}
    groups = {**halves, "measuring, the new ones": [name for name in halves["measuring"] if name not in shared]}
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
    print("| half | setting | seeds | best LR | find_lr | mean regret | worst | cost | warned |")
    print("|---|---|---|---|---|---|---|---|---|")
    for half, names in halves.items():
        for name in names:
            setting = loaded[name]
            found = [search(setting, offset) for offset in OFFSETS]
            regrets = [setting.regret(each.lr) for each in found]
            suggestion, cost = np.median([each.lr for each in found]), np.mean([each.cost for each in found])
            print(
                f"| {half} | {name} | {min(run.seeds for run in setting.full)} | {setting.best_lr:.2g} | {suggestion:.2g} | {np.mean(regrets):.2f} | "
                f"{max(regrets):.2f} | {cost:.2f} | {sum(each.warns for each in found)} |"
            )


if __name__ == "__main__":
    main()
