"""What the monitor judges in a run, and what it cannot know there."""

from .diagnosis import Diagnosis
from .history import NUM_BLOCKS, LossHistory
from .run_info import RunInfo
from .symptoms.table import ALL_KINDS, OF_EVALUATIONS
from .symptoms.training import can_judge_lr

# Which kinds compare with the loss before anything was learned.
_FROM_THE_START = ("stuck", "too_slow", "warmup_too_short", "warmup_too_long", "validation_rises")
# Which kinds take the loss for a measure of what was learned.
_OF_PROGRESS = ("stuck", "too_slow", "validation_rises")
_OF_EVALUATIONS = tuple(symptom.__name__ for symptom in OF_EVALUATIONS)


def describe_scope(diagnosis: Diagnosis, evaluates: bool = True) -> str:
    """Describe in one line which kinds of findings are reported in a run, and why others are not.

    Args:
        diagnosis ([`Diagnosis`]): That of the run.
        evaluates (`bool`): Whether there are evaluations while it trains.

    Example:
    ```python
    >>> print(describe_scope(Diagnosis(RunInfo(num_updates=20, learning_rate=1e-3)), evaluates=False))
    reports not_finite, spike; the run is below 40 updates, so it does not report diverging, stuck, too_slow, \
warmup_too_long, lr_spent, warmup_too_short, plateau_at_high_lr; the run has no evaluations, so it does not report \
validation_rises, unstable_validation

    ```
    """
    silent: dict[str, str] = {}
    if not diagnosis.is_long:
        others = set(ALL_KINDS) - {"not_finite", "spike", *_OF_EVALUATIONS}
        silent |= dict.fromkeys(others, f"the run is below {NUM_BLOCKS} updates")
    if diagnosis.run.updates_done:
        silent |= dict.fromkeys(_FROM_THE_START, "the losses before the resume are not known")
    if diagnosis.run.is_contrastive:
        silent |= dict.fromkeys(_OF_PROGRESS, "the loss may compare the samples of a batch with each other")
    if not evaluates:
        silent |= dict.fromkeys(_OF_EVALUATIONS, "the run has no evaluations")
    kinds = [kind for kind in reversed(ALL_KINDS) if kind in diagnosis.kinds]
    parts = [f"reports {', '.join(kind for kind in kinds if kind not in silent)}"]
    for reason in dict.fromkeys(silent.values()):
        parts.append(
            f"{reason}, so it does not report {', '.join(kind for kind in kinds if silent.get(kind) == reason)}"
        )
    return "; ".join(parts)


def explain_silence(history: LossHistory, run: RunInfo) -> str | None:
    """Explain why the first losses of a run say nothing about its LR, if they do not.

    Example:
    ```python
    >>> history = LossHistory(num_updates=200)
    >>> _ = history.add_loss(1, 0.2, lr=1.0)
    >>> explain_silence(history, RunInfo(200, 1e-4, guess_loss=0.69))
    'the loss begins at 0.2, far below 0.69 of uniform guesses, so the model was trained before'

    ```
    """
    if not history.first or run.is_contrastive or can_judge_lr(history, run):
        return None  # of contrastive losses the line at the start of the run has said so
    if run.guess_loss is not None and history.start > 0:
        return (
            f"the loss begins at {history.start:.3g}, far below {run.guess_loss:.3g} of uniform guesses, so the model was trained "
            "before"
        )
    return "the loss may be negative, so it has no scale"
