"""StepSizes: how far each group's weights move at an update, and the LR that their elements really get."""

import logging
import math
from typing import Any

import torch
from transformers.trainer_utils import IntervalStrategy

from ..integrations.distributed import get_sharding
from ..optim.effective_lr import Sample, compute_effective_lrs, compute_update_ratio, has_effective_lr
from ..optim.wrappers import unwrap_optimizer
from ..runs.columns import QUANTILES, UPDATE_RATIO
from ..schedules.arguments import as_count
from .fail_safe import FailSafeCallback
from .run_context import get_context
from .used_lrs import get_group_names

logger = logging.getLogger(__name__)


class StepSizes(FailSafeCallback):
    """Measure how far an update moves the weights, at every N-th update: with an adaptive optimizer, the LR is not the step.

    For each parameter group, by its name:

    - `update_ratio/<group>`: ‖w_after − w_before‖ / ‖w_before‖ over all weights of the group. It is the step as it was made,
      with momentum, weight decay, clipping and the rounding of the weights' type. A ratio of 0 at an LR above 0 means that
      the type of the weights is too coarse for the step.
    - `effective_lr_p05/<group>`, `…_p50/…`, `…_p95/…`: the 5 %, 50 % and 95 % quantiles of LR / (√v̂ + ε) over the group's
      elements: the factor of their gradients. [`hf_lrsched.optim.effective_lr.compute_effective_lr`] has the formulas of Adam,
      AdamW, RMSprop, Adagrad and SGD, with their sources. For other optimizers they are left out, with a warning.

    Values that are not finite, such as the ratio of weights that are all 0, are left out. Each measured update gets a training
    record, through which the values reach the reporters at their own update. They are also in the record of the run
    ([`RunRecorder`], `steps.jsonl`) and in the report, but not in `trainer_state.json`. The weights of the run are the same
    with and without this callback, to the bit, and nothing is read from a device at the updates in between. An update that an
    fp16 overflow skipped is not measured; the next one is. Where weights are sharded (DeepSpeed, FSDP), nothing is measured,
    and a warning says so.

    Args:
        every (`int`, defaults to 50): Updates from one measurement to the next; the first is at this one.
        max_elements (`int`, *optional*, defaults to 1,000,000): The largest number of weights of a group that are copied
            before a measured update and compared after it. Of a larger group, the same evenly spread weights are taken each
            time. `None`: all.

    Raises:
        ScheduleError: `every` or `max_elements` is not a positive whole number.

    Example:
    ```python
    trainer = ScheduledTrainer(..., schedule="warmup(10%) >> linear()", callbacks=[StepSizes(every=50)])
    ```

    The stock Trainer calls its reporters before the callbacks in `callbacks=`; a warning then says that the values do not reach
    them. To reach them, put this one first:

    ```python
    trainer.callback_handler.callbacks.insert(0, StepSizes(every=50))
    ```
    """

    def __init__(self, every: int = 50, max_elements: int | None = 1_000_000):
        self.every = as_count(every, "every")
        self.max_elements = None if max_elements is None else as_count(max_elements, "max_elements")
        #: The latest measurement: `step`, its update, and the values by their names.
        self.latest: dict[str, float] = {}
        self._is_on = self._is_due = False
        self._is_late = self._has_warned = False
        self._samples: list[Sample] = []
        self._before: list[list[torch.Tensor]] | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        self.latest, self._before, self._is_due = {}, None, False
        self._is_late = self._has_warned = False
        optimizer = unwrap_optimizer(kwargs["optimizer"])
        sharded = _sharding(optimizer)
        # On every process, though one would do: all of them must ask for the training record, which gathers their losses.
        self._is_on = sharded is None
        if not state.is_world_process_zero:
            return
        if sharded is not None:
            logger.warning(
                f"StepSizes measures nothing in this run: under {sharded} each process holds only a part of the weights and of "
                "the optimizer's state."
            )
            return
        if not has_effective_lr(optimizer):
            logger.warning(
                f"StepSizes cannot compute an effective LR for {type(optimizer).__name__}, only for torch's Adam, AdamW, "
                "RMSprop, Adagrad and SGD. It measures the ratio of update to weights."
            )
        if state.global_step // self.every == state.max_steps // self.every:
            logger.warning(
                f"StepSizes(every={self.every}) measures nothing in this run of {state.max_steps} updates. Choose a smaller every."
            )
        if args.logging_strategy == IntervalStrategy.NO:
            logger.warning(
                "With logging_strategy='no', what StepSizes measures goes into the record of the run only, and to no reporter. Set "
                "logging_strategy='steps'."
            )

    def on_step_begin(self, args, state, control, **kwargs):
        get_context(state).step_sizes = {}

    def on_pre_optimizer_step(self, args, state, control, **kwargs):
        self._is_due = self._is_on and (self._is_due or (state.global_step + 1) % self.every == 0)
        if self._is_due:
            groups = [group["params"] for group in unwrap_optimizer(kwargs["optimizer"]).param_groups]
            self._samples = [Sample(parameters, self.max_elements) for parameters in groups]
            pairs = zip(self._samples, groups, strict=True)
            self._before = [[part.clone() for part in sample.select(parameters)] for sample, parameters in pairs]

    def on_optimizer_step(self, args, state, control, **kwargs):
        if self._before is None:
            return
        before, self._before = self._before, None
        optimizer = kwargs["optimizer"]
        if getattr(optimizer, "step_was_skipped", False):
            return
        found = self._measure(unwrap_optimizer(optimizer), before)
        # A fused optimizer skips within its kernel, which accelerate does not notice.
        has_moved = any(value for name, value in found.items() if name.startswith(UPDATE_RATIO))
        if not has_moved and getattr(optimizer, "scaler", None) is not None:
            return
        self._is_due = False
        self.latest = {"step": state.global_step + 1, **found}
        get_context(state).step_sizes = found

    def _measure(self, optimizer: Any, before: list[list[torch.Tensor]]) -> dict[str, float]:
        found: dict[str, float] = {}
        groups = optimizer.param_groups
        for name, group, sample, weights in zip(get_group_names(groups), groups, self._samples, before, strict=True):
            if not weights:
                continue
            found[f"{UPDATE_RATIO}/{name}"] = float(compute_update_ratio(weights, sample.select(group["params"])))
            lrs = compute_effective_lrs(optimizer, group) if has_effective_lr(optimizer) else None
            if lrs is not None:
                found |= {f"{key}/{name}": lr for key, lr in zip(QUANTILES, lrs.tolist(), strict=True)}
        return {key: value for key, value in found.items() if math.isfinite(value)}

    def on_step_end(self, args, state, control, **kwargs):
        # Only a callback before this one can have asked for it: Trainer's own, which stands before its reporters.
        self._is_late = self._is_late or control.should_log or control.should_training_stop
        if get_context(state).step_sizes and args.logging_strategy != IntervalStrategy.NO:
            control.should_log = True

    def on_log(self, args, state, control, logs=None, **kwargs):
        # For the reporters after this one: the record in Trainer's history is another dict.
        if logs is None or "loss" not in logs:
            return
        found = get_context(state).step_sizes
        has_reached_all = found.keys() <= logs.keys()  # a Trainer with a schedule adds them before its reporters
        if (
            self._is_late
            and not has_reached_all
            and args.report_to
            and state.is_world_process_zero
            and not self._has_warned
        ):
            self._has_warned = True
            logger.warning(
                f"StepSizes comes after Trainer's reporters, so its values do not reach {', '.join(args.report_to)}. Use "
                "ScheduledTrainer, or put it first: trainer.callback_handler.callbacks.insert(0, StepSizes(...))."
            )
        logs.update(found)


def _sharding(optimizer: Any) -> str | None:
    """Return the name of what shards the weights or the optimizer's state; `None` where nothing does."""
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    return get_sharding() or ("DTensor" if any(hasattr(each, "device_mesh") for each in parameters) else None)
