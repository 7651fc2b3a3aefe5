"""Diagnosis: what a run tells goes in, number by number; what it says comes out. Plain Python: no torch, no Trainer."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..schedules.metric_names import metric_direction
from .finding import LossFinding
from .history import BLOCKS, Evaluation, Seen
from .run_info import Plan
from .spikes import SpikeTest
from .symptoms.table import AT_BLOCK, AT_EVALUATION, Sign
from .symptoms.training import not_finite, spike

# A run with an illness that stays would otherwise tell of it again and again.
_MOST_OF_A_KIND = 1


class Diagnosis:
    """Looks at a run's losses as they come, and tells what they say, each kind once.

    Args:
        plan ([`Plan`]): What is known before the first update.

    Example:
    ```python
    >>> diagnosis = Diagnosis(Plan(num_updates=100, learning_rate=1e-3, schedule="warmup(10%) >> linear()"))
    >>> diagnosis.loss(1, 0.7)
    []
    >>> [finding] = diagnosis.loss(2, float("nan"))
    >>> finding.kind, finding.since, finding.seen
    ('not_finite', 2, 'the training loss is nan')

    ```
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.findings: list[LossFinding] = []
        #: The LR of the update whose loss comes next, as a share of the peak LR.
        self.lr = 1.0
        self._seen = Seen(plan.num_updates, plan.updates_done)
        # Sooner than the guard's, for this one only tells; and so that one run in a hundred has a row of that kind by chance.
        chance = 0.01 / max(plan.num_updates, 1)
        self._spikes = SpikeTest(window=16, setback=0.5, chance=chance, high=4, dense=1.0)
        self._loss_key: str | None = None
        self._score_key: str | None = None
        self._last_record = 0

    @property
    def done(self) -> float:
        """The share of the run that is over: of its updates, or what was said of another clock, if that is more."""
        return self._seen.done

    @done.setter
    def done(self, share: float) -> None:
        self._seen.done_by_clock = share

    @property
    def has_seen_losses(self) -> bool:
        """Whether there was any training loss."""
        return bool(self._seen.first) or bool(self.findings)

    @property
    def is_long(self) -> bool:
        """Whether the run has the length from which more is told than NaN and spikes: a shorter one has hardly learned when it
        ends, at any LR."""
        return self.plan.num_updates >= BLOCKS

    def loss(self, update: int, loss: float, lr: float | None = None) -> list[LossFinding]:
        """The training loss of an update; returns what is new.

        Args:
            update (`int`): Counted from 1.
            loss (`float`): Its loss.
            lr (`float`, *optional*): Its LR as a share of the peak LR. Defaults to [`lr`].
        """
        if not math.isfinite(loss):
            return self._new([not_finite(update, f"the training loss is {loss:g}", self._seen, self.plan)])
        is_block = self._seen.add_loss(update, loss, self.lr if lr is None else lr)
        jump = self._spikes.add(update, loss)
        found = [] if jump is None else self._new([spike(jump, self._seen, self.plan)])
        return found + (self._look(AT_BLOCK) if is_block and self.is_long else [])

    def record(self, update: int, record: Mapping[str, Any], has_losses: bool = True) -> list[LossFinding]:
        """A training record of the Trainer; returns what is new.

        Args:
            update (`int`): The update after which it was written.
            record (`Mapping`): `loss`, `grad_norm`, `learning_rate`.
            has_losses (`bool`, defaults to `True`): The losses of all updates are told by [`loss`]. Else the record's mean
                counts as one loss.
        """
        found: list[LossFinding] = []
        norm, loss = _number(record.get("grad_norm")), _number(record.get("loss"))
        if norm is not None and not math.isfinite(norm):
            found += self._new([not_finite(update, f"the norm of the gradients is {norm:g}", self._seen, self.plan)])
        elif norm is not None and update > self._last_record:
            self._seen.add_norm(update, norm)
        if not has_losses and loss is not None and update > self._last_record:
            # One number a record: the updates that it stands for are not told apart.
            found += self.loss(update, loss)
        self._last_record = update
        return found

    def evaluation(self, update: int, metrics: Mapping[str, Any], samples: int | None = None) -> list[LossFinding]:
        """An evaluation's metrics; returns what is new. Of several evaluation sets the first counts.

        Args:
            update (`int`): The update after which it was made.
            metrics (`Mapping`): By their names: `eval_loss`, ….
            samples (`int`, *optional*): How many samples it had.
        """
        self._loss_key = self._loss_key or _first(metrics, ("eval_loss",), lambda key: key.endswith("_loss"))
        loss = _number(metrics.get(self._loss_key or ""))
        if loss is None:
            return []
        if not math.isfinite(loss):
            return self._new([not_finite(update, f"the validation loss is {loss:g}", self._seen, self.plan)])
        self._seen.evaluations.append(Evaluation(update, loss, self._score(metrics), samples))
        return self._look(AT_EVALUATION) if update and self._seen.first else []

    def _score(self, metrics: Mapping[str, Any]) -> float | None:
        """The metric, so turned that more is better."""
        wanted = self.plan.metric or ""
        names = (wanted, f"eval_{wanted}") if wanted else ()
        self._score_key = self._score_key or _first(metrics, names, lambda key: metric_direction(key) == "max")
        value = _number(metrics.get(self._score_key or ""))
        if value is None or not math.isfinite(value) or self._score_key is None:
            return None
        told = self.plan.greater_is_better if wanted and self._score_key.endswith(wanted) else None
        falls = metric_direction(self._score_key) == "min" if told is None else not told
        return -value if falls else value

    def _look(self, signs: Iterable[Sign]) -> list[LossFinding]:
        return self._new([sign(self._seen, self.plan) for sign in signs])

    def _new(self, found: Iterable[LossFinding | None]) -> list[LossFinding]:
        new = []
        for finding in found:
            if finding is not None and sum(each.kind == finding.kind for each in self.findings) < _MOST_OF_A_KIND:
                self.findings.append(finding)
                new.append(finding)
        return new


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, str | bool) or value is None else float(value)
    except (TypeError, ValueError):
        return None


def _first(metrics: Mapping[str, Any], names: Iterable[str], fits: Any) -> str | None:
    # Those of Trainer's own evaluations: a callback may evaluate the training data, too.
    known = [key for key in metrics if key.startswith("eval_") and _number(metrics[key]) is not None]
    return next((name for name in names if name in known), None) or next(filter(fits, known), None)
