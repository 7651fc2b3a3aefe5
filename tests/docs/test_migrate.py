"""Every row of docs/migrate.md: the schedule has the other library's curve. torch is run; of the others the closed form is."""

import ast
import math
import re
from pathlib import Path

import pytest
import torch
import transformers
from torch.optim import lr_scheduler

from hf_lrsched import get_scheduler, parse

PAGE = Path(__file__).parents[2] / "docs" / "migrate.md"
UPDATES, PER_EPOCH = 100, 10


def read_rows(heading: str) -> list[tuple[str, str]]:
    """Return the rows of a table: what is written there, and what is written here."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [(row[0], row[1]) for row in re.findall(r"^\| (`.*) \| `(.*)` \|$", section, re.MULTILINE)]


def cosine(p: float, low: float = 0.0) -> float:
    return low + (1 - low) * (1 + math.cos(math.pi * p)) / 2


def timm_cycles(t: int, t_initial: int, lr_min: float, cycle_mul: float, cycle_decay: float) -> float:
    """The LR of timm's CosineLRScheduler for a peak LR of 1, as its `_get_lr` computes it."""
    i = math.floor(math.log(1 - t / t_initial * (1 - cycle_mul), cycle_mul) + 1e-9)
    t_i = cycle_mul**i * t_initial
    t_curr = t - (1 - cycle_mul**i) / (1 - cycle_mul) * t_initial
    return lr_min + 0.5 * (cycle_decay**i - lr_min) * (1 + math.cos(math.pi * t_curr / t_i))


#: The factor of update t + 1, t = 0 … 99, in a run of 100 updates, as the library documents it.
CLOSED_FORMS = {
    "CosineLRScheduler(optimizer, t_initial=100, lr_min=0.01)": lambda t: cosine(t / 100, 0.01),
    "CosineLRScheduler(optimizer, t_initial=100, warmup_t=10)": lambda t: t / 10 if t < 10 else cosine(t / 100),
    "CosineLRScheduler(optimizer, t_initial=90, warmup_t=10, warmup_prefix=True)": (
        lambda t: t / 10 if t < 10 else cosine((t - 10) / 90)
    ),
    "CosineLRScheduler(optimizer, t_initial=25, cycle_limit=4)": lambda t: cosine(t % 25 / 25),
    "CosineLRScheduler(optimizer, t_initial=10, lr_min=0.01, cycle_mul=2, cycle_decay=0.5, cycle_limit=4)": (
        lambda t: timm_cycles(t, 10, 0.01, 2, 0.5)
    ),
    "PolyLRScheduler(optimizer, t_initial=100, power=2.0)": lambda t: (1 - t / 100) ** 2,
    "StepLRScheduler(optimizer, decay_t=30, decay_rate=0.1)": lambda t: 0.1 ** (t // 30),
    "MultiStepLRScheduler(optimizer, decay_t=[50, 80], decay_rate=0.1)": lambda t: 0.1 ** ((t >= 50) + (t >= 80)),
    "LinearScheduler(alpha_f=0.1)": lambda t: 1 - 0.9 * t / 100,
    'LinearWithWarmupScheduler(t_warmup="0.1dur")': lambda t: t / 10 if t < 10 else 1 - (t - 10) / 90,
    'CosineAnnealingWithWarmupScheduler(t_warmup="10ba", alpha_f=0.01)': (
        lambda t: t / 10 if t < 10 else cosine((t - 10) / 90, 0.01)
    ),
    'CosineAnnealingWarmRestartsScheduler(t_0="20ba")': lambda t: cosine(t % 20 / 20),
    'MultiStepScheduler(milestones=["50ba", "80ba"], gamma=0.1)': lambda t: 0.1 ** ((t >= 50) + (t >= 80)),
    "PolynomialScheduler(power=2.0)": lambda t: (1 - t / 100) ** 2,
    "ConstantScheduler()": lambda t: 1.0,
    "learn.fit_one_cycle(n, lr_max=1.0)": (
        lambda t: 0.04 + 0.96 * (1 - math.cos(math.pi * t / 25)) / 2 if t < 25 else cosine((t - 25) / 75, 1e-5)
    ),
    "learn.fit_flat_cos(n, lr=1.0)": lambda t: 1.0 if t < 75 else cosine((t - 75) / 25, 1e-5),
    "learn.fit_sgdr(n_cycles=2, cycle_len=1, cycle_mult=2)": (
        lambda t: cosine(t / (100 / 3)) if t < 100 / 3 else cosine((t - 100 / 3) / (200 / 3))
    ),
    "learn.fit(n, lr=1.0)": lambda t: 1.0,
}


@pytest.mark.parametrize(
    ("theirs", "ours"), [row for name in ("timm", "Composer", "fastai") for row in read_rows(f"From {name}")]
)
def test_schedule_equals_the_closed_form(theirs, ours):
    function = CLOSED_FORMS[theirs.strip("`")]
    curve = parse(ours).resolve(UPDATES, updates_per_epoch=PER_EPOCH, peak=1.0)
    assert [curve(t) for t in range(UPDATES)] == pytest.approx([function(t) for t in range(UPDATES)], abs=1e-9)


def make_optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], lr=1.0, momentum=0.9)


@pytest.mark.parametrize(("theirs", "ours"), read_rows("From `TrainingArguments`")[:-1])
def test_schedule_equals_that_of_the_training_arguments(theirs, ours):
    updates, peak = 1000, 2e-5
    settings = ast.parse(f"dict({theirs.split('`')[1]})", mode="eval").body
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in settings.keywords}
    warmup = given.get("warmup_steps", round(given.get("warmup_ratio", 0) * updates))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = transformers.get_scheduler(
        given["lr_scheduler_type"], optimizer, warmup, updates, given.get("lr_scheduler_kwargs", {})
    )
    curve = parse(ours).resolve(updates, peak=peak)
    for t in range(updates):
        assert peak * curve(t) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12, abs=1e-20), t
        optimizer.step()
        scheduler.step()


def test_plateau_of_the_training_arguments_has_a_schedule():
    theirs, ours = read_rows("From `TrainingArguments`")[-1]
    assert "reduce_lr_on_plateau" in theirs
    assert parse(ours)


@pytest.mark.parametrize(("theirs", "ours"), read_rows("From torch"))
@pytest.mark.filterwarnings("ignore")
def test_schedule_equals_torch(theirs, ours):
    code, _, each_epoch = theirs.partition("`,")
    optimizer = make_optimizer()
    scheduler = eval(code.strip("`"), {**vars(lr_scheduler), "optimizer": optimizer})
    mine = make_optimizer()
    same = get_scheduler(ours, mine, num_training_steps=UPDATES, updates_per_epoch=PER_EPOCH)
    losses = [1.0, 0.8, 0.8, 0.8, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7]
    for update in range(UPDATES):
        assert mine.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12), update
        if (
            "OneCycleLR" not in code or update < UPDATES - 1
        ):  # torch's is at its end, and its momentum too, one step earlier
            assert mine.param_groups[0]["momentum"] == pytest.approx(optimizer.param_groups[0]["momentum"]), update
        for stepped in (optimizer, mine):
            stepped.step()
        same.step()
        end_of_epoch = (update + 1) % PER_EPOCH == 0
        if "ReduceLROnPlateau" in code and end_of_epoch:
            scheduler.step(losses[update // PER_EPOCH])
            same.observe({"eval_loss": losses[update // PER_EPOCH]})
        elif "ReduceLROnPlateau" not in code and (end_of_epoch or not each_epoch):
            scheduler.step()


def test_every_library_has_rows():
    assert [len(read_rows(f"From {name}")) >= 4 for name in ("torch", "timm", "Composer", "fastai")] == [True] * 4
    assert len(CLOSED_FORMS) == sum(len(read_rows(f"From {name}")) for name in ("timm", "Composer", "fastai"))
