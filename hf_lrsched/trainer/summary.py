"""The summary of a run, printed before its first update: updates and samples, phases, the curve, the groups, warnings."""

import sys
from typing import Any

import torch

from ..console import to_printable
from ..groups import explain_groups
from ..plots.preview import Preview
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import Horizon
from ..schedules.numbers import format_count
from ..trajectory.phases import explain_followed_schedule, get_followed_curve, list_unused_settings

_WIDTH, _HEIGHT = 88, 9

#: Characters of a drawing, to test whether a terminal can show them.
_STROKES = "▞▀▄▛▐┌┤─"


def explain_batch(per_device: int, accumulated: int = 1, processes: int = 1) -> str:
    """Explain the samples of an update: those of a batch, batches of an update on each device, and devices."""
    samples, noun = per_device * accumulated * processes, "process" if processes == 1 else "processes"
    return f"{samples:,} samples per update = {per_device} per device x {accumulated} accumulated x {processes} {noun}"


def explain_trainer(trainer: Any, scheduler: ScheduleLR) -> str:
    """Return the summary of the run that a [`ScheduledTrainer`] is about to begin. See [`explain_run`]."""
    batch = None
    per_device = trainer._train_batch_size // max(1, trainer.args.n_gpu)  # auto_find_batch_size may have changed it
    accumulated = trainer.args.gradient_accumulation_steps
    processes, rest = divmod(trainer._samples_per_update or 0, per_device * accumulated)
    if processes and not rest:
        batch = explain_batch(per_device, accumulated, processes)
    has_groups = trainer.groups is not None
    return explain_run(scheduler, trainer._horizon, batch, trainer.model, all_groups=has_groups, draw=can_draw())


def explain_schedule(trainer: Any) -> str:
    """Return the schedule that a [`ScheduledTrainer`] follows in one line: see [`explain_followed_schedule`]."""
    scheduler = trainer.lr_scheduler
    is_ours = isinstance(scheduler, ScheduleLR)
    return explain_followed_schedule(scheduler.run_state) if is_ours else str(trainer.schedule)


def explain_run(
    scheduler: ScheduleLR,
    run: Horizon,
    batch: str | None = None,
    model: torch.nn.Module | None = None,
    all_groups: bool = False,
    draw: bool = True,
) -> str:
    """Return the summary of a run that is about to begin, in about twenty lines.

    Args:
        scheduler ([`ScheduleLR`]): Its scheduler.
        run ([`Horizon`]): Its length in updates, whatever the schedule counts.
        batch (`str`, *optional*): The samples of an update: see [`explain_batch`].
        model (`torch.nn.Module`, *optional*): The model, to name the layers of a group.
        all_groups (`bool`, defaults to `False`): List the parameter groups even if their LRs are the same.
        draw (`bool`, defaults to `True`): Draw the curve, if plotext is installed.

    Example:
    ```python
    >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2e-5)
    >>> run = Horizon(345, updates_per_epoch=115)
    >>> print(explain_run(ScheduleLR(optimizer, "warmup(10%) >> linear()", run), run, explain_batch(16, 2), draw=False))
    345 updates = 3 epochs of 115; peak LR 2e-05
    32 samples per update = 16 per device x 2 accumulated x 1 process
    warmup(10%) >> linear() over 345 updates, 115 per epoch
      warmup(10%)  updates   1 to  35  factor 0 to 1  10% of 345 updates = 35
      linear()     updates  36 to 345  factor 1 to 0  what is left: 310 updates

    ```
    """
    state = scheduler.run_state
    curve, peaks = get_followed_curve(state), state.peaks
    differ = len(set(state.trajectory.settings.schedules)) > 1 or len(set(peaks)) > 1
    peak = f"peak LRs {min(peaks):.4g} to {max(peaks):.4g}" if len(set(peaks)) > 1 else f"peak LR {peaks[0]:.4g}"
    by_clock = state.horizon.unit != "updates"
    lines = [f"{'at most ' if by_clock else ''}{_length(run)}; {peak}", *([batch] if batch else [])]
    phases = curve.explain().splitlines()
    if state.trajectory.settings != state.settings or state.trajectory.rewarm is not None:
        phases[0] = explain_followed_schedule(state)
        if unused := list_unused_settings(state):
            phases.append(f"  without effect, since the checkpoint's curve is followed: {'; '.join(unused)}")
    lines += [*phases, *_other_notes(scheduler)]
    if draw:
        lines += _drawing(Preview([curve], peaks[0]))
    if differ or all_groups:
        lines.append(explain_groups(scheduler.optimizer, model))
    return "\n".join(lines)


def can_draw() -> bool:
    """Return whether standard output can show the characters of a drawing; on Windows a file often cannot."""
    return to_printable(_STROKES, getattr(sys.stdout, "encoding", None)) == _STROKES


def _length(run: Horizon) -> str:
    text = format_count(run.num_updates, "update")
    if not run.updates_per_epoch:
        return text
    epochs = run.num_updates / run.updates_per_epoch
    return f"{text} = {epochs:.4g} epoch{'' if epochs == 1 else 's'} of {run.updates_per_epoch:,}"


def _other_notes(scheduler: ScheduleLR) -> list[str]:
    """Return the warnings about the curves of other groups than the first."""
    seen = set(scheduler.curves[0].notes)
    lines = []
    for index, (curve, group) in enumerate(zip(scheduler.curves, scheduler.optimizer.param_groups, strict=True)):
        for note in curve.notes:
            if note not in seen:
                seen.add(note)
                lines.append(f"  warning: {group.get('name', f'group_{index}')}: {note}")
    return lines


def _drawing(preview: Preview) -> list[str]:
    try:
        drawn = preview.drawing(_WIDTH, _HEIGHT)
    except Exception:  # plotext is missing or fails on this curve: a run needs no drawing
        return []
    return [f"  {line}" for line in drawn.splitlines()[1:]]  # without the legend: there is one curve
