"""Diagnosis: a run's losses go in, number by number; findings come out. Plain Python, without torch and Trainer."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..schedules.metric_names import get_metric_direction, is_metric, measures_loss, resolve_direction
from .finding import LossFinding, Sign
from .history import NUM_BLOCKS, Evaluation, LossHistory
from .run_info import RunInfo
from .spikes import SpikeTest
from .symptoms.contradiction import is_contradicted
from .symptoms.table import ALL_KINDS, OF_EVALUATIONS, STRENGTH, SYMPTOMS
from .symptoms.training import not_finite, spike


class Diagnosis:
    """Look for symptoms in a run's losses as they come, and report each kind once.

    What is found depends on the losses and evaluations and on their order by update, and on nothing else.

    Args:
        run ([`RunInfo`]): What is known before the first update.
        kinds (`Collection[str]`, *optional*): The kinds to report. Defaults to all.

    Example:
    ```python
    >>> diagnosis = Diagnosis(RunInfo(num_updates=100, learning_rate=1e-3, schedule="warmup(10%) >> linear()"))
    >>> diagnosis.add_loss(1, 0.7)
    []
    >>> [finding] = diagnosis.add_loss(2, float("nan"))
    >>> finding.kind, finding.since, finding.evidence
    ('not_finite', 2, 'the training loss is nan')

    ```
    """

    def __init__(self, run: RunInfo, kinds: Collection[str] = ALL_KINDS):
        self.run = run
        self.kinds = kinds
        #: What holds, in the order in which it was found; what later evidence contradicts is moved to [`withdrawn`].
        self.findings: list[LossFinding] = []
        self.withdrawn: list[LossFinding] = []
        self.history = LossHistory(run.num_updates, run.updates_done)
        #: The LR of the update whose loss comes next, as a share of the peak LR.
        self.lr = 1.0
        # More sensitive than the guard's, since this one only warns: by chance one run in a hundred has such a row.
        chance = 0.01 / max(run.num_updates, 1)
        self._spikes = SpikeTest(window=16, setback=0.5, chance=chance, high=4, dense=1.0)
        self._loss_key: str | None = None
        self._score_key: str | None = None
        self._last_record = 0
        # A block that has ended, and is judged once the evaluation of the same update is known.
        self._is_due = False
        # By kind: when the first of the latest looks was made that all showed it, in updates and in evaluations.
        self._seen: dict[str, tuple[int, int]] = {}

    @property
    def has_losses(self) -> bool:
        """Whether there was any training loss."""
        return bool(self.history.first) or bool(self.findings)

    @property
    def is_long(self) -> bool:
        """Whether the training loss says more than NaN and spikes: a shorter run has hardly learned at its end, at any LR."""
        return self.run.num_updates >= NUM_BLOCKS

    @property
    def recommendation(self) -> LossFinding | None:
        """The finding whose advice counts: the strongest, and the latest of those."""
        return max(reversed(self.findings), key=lambda finding: STRENGTH[finding.kind], default=None)

    def add_loss(self, update: int, loss: float, lr: float | None = None) -> list[LossFinding]:
        """Add the training loss of an update; return what was found or withdrawn.

        Args:
            update (`int`): The update, counted from 1.
            loss (`float`): Its loss.
            lr (`float`, *optional*): Its LR as a share of the peak LR. Defaults to [`lr`].
        """
        found = self.look() if self._is_due else []
        if not math.isfinite(loss):
            return found + self._keep_not_finite(update, f"the training loss is {loss:g}")
        self._is_due = self.history.add_loss(update, loss, self.lr if lr is None else lr) and self.is_long
        jump = self._spikes.add(update, loss)
        return found if jump is None else found + self._keep_new("spike", spike(jump), update)

    def look(self) -> list[LossFinding]:
        """Look for all symptoms in what is known by now: at the end of a block, after an evaluation, at the end of the run.

        A symptom is reported when it was there at each look for the time between two evaluations, but for a tenth of the run at
        most where it shows in the training loss. A finding that the losses since contradict is withdrawn.

        Returns:
            `list[LossFinding]`: What is new; what is withdrawn has [`LossFinding.withdrawn`].
        """
        self._is_due = False
        if not self.history.first:
            return []
        now, count = self.history.update, len(self.history.evaluations)
        # Two blocks where there are no evaluations yet.
        wait = self.history.num_updates // 10 if count else 2 * self.history.block_size
        changed = [
            self._withdraw(each) for each in list(self.findings) if is_contradicted(each, self.history, self.run)
        ]
        for symptom in SYMPTOMS if self.is_long and self.history.blocks else OF_EVALUATIONS:
            kind = symptom.__name__
            found = symptom(self.history, self.run) if kind in self.kinds else None
            if found is None:
                self._seen.pop(kind, None)
                continue
            since, evaluations = self._seen.setdefault(kind, (now, count))
            if count > evaluations or (symptom not in OF_EVALUATIONS and now - since >= wait):
                changed += self._keep_new(kind, found, now)
        return changed

    def _withdraw(self, finding: LossFinding) -> LossFinding:
        self.findings.remove(finding)
        self.withdrawn.append(replace(finding, withdrawn=self.history.update))
        return self.withdrawn[-1]

    def add_record(self, update: int, record: Mapping[str, Any]) -> list[LossFinding]:
        """Add a training record of the Trainer; return new findings.

        Args:
            update (`int`): The update after which it was written.
            record (`Mapping`): `grad_norm`; and `loss`, the mean of the updates since the record before, which counts as one
                loss: leave it out if [`add_loss`] gets the losses of all updates.
        """
        norm, loss = _to_float(record.get("grad_norm")), _to_float(record.get("loss"))
        found: list[LossFinding] = []
        if norm is not None and not math.isfinite(norm):
            found += self._keep_not_finite(update, f"the norm of the gradients is {norm:g}")
        if loss is not None and update > self._last_record:
            found += self.add_loss(update, loss)
        self._last_record = update
        return found

    def add_evaluation(self, update: int, metrics: Mapping[str, Any], samples: int | None = None) -> list[LossFinding]:
        """Add an evaluation's metrics; return what was found or withdrawn. Of several evaluation sets the first one counts.

        Args:
            update (`int`): The update after which it was made.
            metrics (`Mapping`): The metrics by name: `eval_loss`, ….
            samples (`int`, *optional*): The size of the validation split.
        """
        self._loss_key = self._loss_key or _find_key(metrics, ("eval_loss",), lambda key: key.endswith("_loss"))
        loss = _to_float(metrics.get(self._loss_key or ""))
        if loss is None:
            return []
        if not math.isfinite(loss):
            return self._keep_not_finite(update, f"the validation loss is {loss:g}")
        self.history.evaluations.append(
            Evaluation(update, loss, self._get_score(metrics), samples, _get_metrics(metrics))
        )
        return self.look() if update else []

    def _get_score(self, metrics: Mapping[str, Any]) -> float | None:
        """Return the run's metric, negated where less is better."""
        wanted = self.run.metric or ""
        names = (wanted, f"eval_{wanted}") if wanted else ()
        self._score_key = self._score_key or _find_key(metrics, names, lambda key: get_metric_direction(key) == "max")
        value = _to_float(metrics.get(self._score_key or ""))
        if value is None or not math.isfinite(value) or self._score_key is None:
            return None
        is_wanted = wanted and self._score_key.endswith(wanted)
        direction = resolve_direction(self._score_key, self.run.greater_is_better if is_wanted else None)
        return -value if direction == "min" else value

    def _keep_not_finite(self, update: int, evidence: str) -> list[LossFinding]:
        return self._keep_new("not_finite", not_finite(self.history, self.run, update, evidence), update)

    def _keep_new(self, kind: str, sign: Sign, update: int) -> list[LossFinding]:
        """Keep a finding of a kind that was not reported before; it advises a change only if none that stands is stronger."""
        if kind not in self.kinds or any(each.kind == kind for each in (*self.findings, *self.withdrawn)):
            return []
        changes = tuple(change for change in sign.changes if change is not None)
        finding = LossFinding(kind, update, sign.since, sign.evidence, sign.advice, changes)
        self.findings.append(finding)
        if self.recommendation is not finding and finding.changes:
            finding = self.findings[-1] = replace(finding, changes=())
        return [finding]


def _to_float(value: Any) -> float | None:
    try:
        return None if isinstance(value, str | bool) or value is None else float(value)
    except (TypeError, ValueError):
        return None


def _get_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return what an evaluation measured beside losses."""
    names = [name for name in metrics if name.startswith("eval_") and is_metric(name) and not measures_loss(name)]
    values = {name: _to_float(metrics[name]) for name in names}
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def _find_key(metrics: Mapping[str, Any], names: Iterable[str], fits: Callable[[str], bool]) -> str | None:
    # Only of Trainer's own evaluations: a callback may evaluate the training data as well.
    known = [key for key in metrics if key.startswith("eval_") and _to_float(metrics[key]) is not None]
    return next((name for name in names if name in known), None) or next(filter(fits, known), None)
