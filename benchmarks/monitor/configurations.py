"""The configurations of the traces: healthy runs, and the same made ill by one cause each."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from traces import Trace

#: By the model: updates of a run, and the peak LR for each task, by a sweep.
MODELS = {
    "averaging": (
        200,
        {"messages": 1.2e-3, "sst2": 2e-3, "cards": 3e-3, "transfers": 3e-3, "accounts": 3e-3, "disputes": 3e-3},
    ),
    "narrow2": (
        200,
        {"cards": 3e-3, "transfers": 3e-3, "accounts": 3e-3, "disputes": 3e-3},
    ),  # in so few updates it learns little of the others
    "minilm": (
        120,
        {"messages": 1e-4, "sst2": 1e-4, "cards": 2e-4, "transfers": 2e-4, "accounts": 2e-4, "disputes": 2e-4},
    ),
}
BATCH_SIZES = (8, 16, 16)
#: Of each task.
MOST_SAMPLES = {"messages": 900, "sst2": 6920, "cards": 2400, "transfers": 2400, "accounts": 2400, "disputes": 2000}
SCHEDULES = (
    "warmup(10%) >> linear()",
    "warmup(10%) >> cosine()",
    "warmup(6%) >> linear(to=10%)",
    "warmup(5%) >> step(every=1ep, factor=0.5)",
    "warmup(10%) >> exponential(to=2%)",
    "warmup(5%) >> hold() >> one_minus_sqrt(over=30%)",
    "warmup(10%) >> polynomial(power=2)",
    "warmup(15%) >> inverse_sqrt()",
    "warmup(10%) >> hold()",
    "warmup(10%) >> rex()",
)
#: What makes a run ill.
CAUSES = (
    "lr_x30",
    "lr_x100",
    "lr_d30",
    "lr_d100",
    "no_warmup",
    "long_warmup",
    "shuffled_validation",
    "tiny_validation",
    "corrupt_batches",
    "overflow",
    "past_best",
    "early_decay",
)
#: Which mistakes hurt a deep network more than one that averages words: there 30 times the LR does no harm.
SHARP_CAUSES = ("lr_x30", "lr_x100", "no_warmup")
#: Where few samples with wrong labels are learned by heart; on 20 intents the same run goes on getting better.
PAST_BEST_TASKS = {"averaging": ("messages", "sst2")}


@dataclass(frozen=True)
class Series:
    """Configurations that were made together.

    Args:
        half (`str`): Where they belong.
        first (`int`): Their first seed.
        tasks (`tuple[str, ...]`): Their tasks.
        minilm_tasks (`tuple[str, ...]`): Those on which MiniLM is made ill.
        healthy (`int`): Healthy runs of the averaging network for each task.
        past_best (`int`): Runs far past the best epoch for each task.
    """

    half: str
    first: int
    tasks: tuple[str, ...]
    minilm_tasks: tuple[str, ...]
    healthy: int
    past_best: int


#: The second series was measured once, with rules made on the first, and is tuned on since. The third has new seeds throughout, and
#: a part of Banking77 that no rule was tuned on.
SERIES = (
    Series("tune", 0, ("messages", "sst2", "cards", "transfers"), ("messages", "transfers"), 20, 6),
    Series("tune", 100, ("messages", "sst2", "accounts"), ("accounts",), 14, 3),
    Series("measure", 200, ("messages", "sst2", "disputes"), ("disputes",), 14, 3),
)
#: How often each model is trained for one task: healthy, with each of the sharp causes, with each other one.
COUNTS = {"averaging": (None, 0, 2), "narrow2": (10, 4, 1), "minilm": (2, 0, 0)}
MINILM_CAUSES = (*SHARP_CAUSES, "lr_d30", "long_warmup", "corrupt_batches", "early_decay")


def configurations() -> Iterator[Trace]:
    """All of them, always the same."""
    for series in SERIES:
        for model, (_, peaks) in MODELS.items():
            for place, task in enumerate(series.tasks):
                if task in peaks:
                    yield from _of_task(series, model, task, place)


def _of_task(series: Series, model: str, task: str, place: int) -> Iterator[Trace]:
    healthy, sharp, other = COUNTS[model]
    counts = {cause: sharp if cause in SHARP_CAUSES else other for cause in CAUSES}
    counts["past_best"] = series.past_best if task in PAST_BEST_TASKS.get(model, ()) else 0
    if model == "minilm" and task in series.minilm_tasks:
        counts |= dict.fromkeys(MINILM_CAUSES, 1)
    for seed in range(series.first, series.first + (healthy or series.healthy)):
        yield _configuration(series.half, model, task, "healthy", seed)
    for cause, count in counts.items():
        for seed in range(series.first + place, series.first + place + count):
            yield _configuration(series.half, model, task, cause, seed)


def _configuration(half: str, model: str, task: str, cause: str, seed: int) -> Trace:
    draw = random.Random(f"{model} {task} {cause} {seed}")
    updates, peaks = MODELS[model]
    peak = peaks[task] * draw.choice((0.6, 0.8, 1.0, 1.2))
    batch = draw.choice(BATCH_SIZES)
    schedule = draw.choice(SCHEDULES)
    # Few epochs over many samples: what lies past the best epoch is an illness of its own.
    epochs = 1 if task == "sst2" else draw.choice((2, 3))
    updates = round(updates * draw.uniform(0.8, 1.4))
    samples = min(round(updates / epochs), MOST_SAMPLES[task] // batch) * batch
    epochs = max(1, round(updates * batch / samples))
    if cause.startswith("lr_"):
        peak *= {"lr_x30": 30, "lr_x100": 100, "lr_d30": 1 / 30, "lr_d100": 1 / 100}[cause]
    elif cause == "no_warmup":
        schedule, peak = draw.choice(("linear()", "cosine()", "hold()")), peak * 15
    elif cause == "long_warmup":
        schedule = f"warmup({draw.choice((62, 70, 80, 90))}%) >> linear()"
    elif cause == "early_decay":
        schedule = draw.choice(("warmup(5%) >> linear(over=20%) >> hold()", "warmup(5%) >> cosine(over=20%) >> hold()"))
    elif cause == "past_best":
        samples, epochs = 10 * batch, round(updates / 10)
    name = f"{model}-{task}-{cause}-{seed}"
    return Trace(
        name,
        half,
        cause,
        task,
        model,
        seed,
        schedule,
        float(f"{peak:.2g}"),
        batch,
        float(epochs),
        samples,
    )
