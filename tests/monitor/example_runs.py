"""Runs drawn by hand: their losses, and what a Diagnosis finds in them."""

import math
import random

from hf_lrsched import Horizon, parse
from hf_lrsched.monitor.diagnosis import Diagnosis
from hf_lrsched.monitor.run_info import RunInfo

UPDATES = 200


SCHEDULE = "warmup(10%) >> linear()"


SPENT = "warmup(5%) >> linear(over=20%) >> hold()"


def falling(update):
    """A loss that falls from ln 2 to 0.15."""
    return 0.15 + (math.log(2) - 0.15) * math.exp(-3 * update / UPDATES)


def flat(update):
    return math.log(2)


def dip(update):
    """Learns until update 80, then is lost."""
    return falling(update) if update < 80 else 0.9


def swinging(update):
    return 0.7 + (0.15 if update % 40 else -0.15)


def memorized(update):
    return 0.5 + max(60 - update, 0) / 400 + max(update - 60, 0) / 200


def diagnose(
    loss=falling,
    validation=falling,
    schedule=SCHEDULE,
    noise=0.03,
    every=20,
    seed=0,
    scale=1.0,
    samples=500,
    **info,
):
    """Put a run of 200 updates into a Diagnosis."""
    draw = random.Random(seed)
    horizon = Horizon(UPDATES, 50)
    curve = parse(schedule).resolve(horizon)
    info = {
        "learning_rate": 2e-5,
        "schedule": schedule,
        "num_epochs": 4.0,
        "curve": lambda share: float(curve(share * UPDATES)),
        "horizon": horizon,
    } | info
    diagnosis = Diagnosis(RunInfo(num_updates=UPDATES, **info))
    for update in range(1, UPDATES + 1):
        diagnosis.add_loss(update, scale * (loss(update) + draw.gauss(0, noise)), float(curve(update - 1)))
        if validation is not None and update % every == 0:
            diagnosis.add_evaluation(update, {"eval_loss": scale * validation(update)}, samples)
    return diagnosis


def resumed(done, loss=falling, schedule=SCHEDULE, seed=0, noise=0.05, validation=falling):
    """The rest of such a run, from a checkpoint on."""
    draw = random.Random(seed)
    curve = parse(schedule).resolve(Horizon(UPDATES, 50))
    plan = RunInfo(
        num_updates=UPDATES,
        learning_rate=2e-5,
        schedule=schedule,
        num_epochs=4.0,
        curve=lambda share: float(curve(share * UPDATES)),
        updates_done=done,
    )
    diagnosis = Diagnosis(plan)
    for update in range(done + 1, UPDATES + 1):
        diagnosis.add_loss(update, loss(update) + draw.gauss(0, noise), float(curve(update - 1)))
        if update % 10 == 0:
            diagnosis.add_evaluation(update, {"eval_loss": validation(update) + draw.gauss(0, noise / 5)})
    return diagnosis


def kinds(diagnosis):
    return [finding.kind for finding in diagnosis.findings]
