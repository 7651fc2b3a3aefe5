"""Checks of the optimizer: its LRs, and whose scheduler it has."""

import math
from collections.abc import Iterator

from ..expected_curve import plan_of
from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning

#: LRs that training has been done with, by what an optimizer's name begins with: the lowest, the highest for a pretrained
#: model, and the highest for any. Adam: 2e-5 to 5e-5 for BERT (Devlin et al. 2018, https://arxiv.org/abs/1810.04805), up to
#: 1e-3 for LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685), 1e-4 to 1e-3 from scratch. Adafactor: 1e-3 for T5 (Raffel
#: et al. 2019, https://arxiv.org/abs/1910.10683). Lion: three to ten times less than Adam (Chen et al. 2023,
#: https://arxiv.org/abs/2302.06675). Schedule-free Adam: one to ten times more (Defazio et al. 2024,
#: https://arxiv.org/abs/2405.15682). GaLore, APOLLO: 1e-2 (Zhao et al. 2024, https://arxiv.org/abs/2403.03507).
_RANGES = {
    "adafactor": (1e-7, 1e-2, 1e-1),
    "adagrad": (1e-6, 1e-1, 1.0),
    "adalomo": (1e-6, 1e-2, 1e-1),
    "adam": (1e-7, 1e-3, 1e-2),
    "ademamix": (1e-7, 1e-3, 1e-2),
    "apollo": (1e-6, 5e-2, 5e-1),
    "galore": (1e-6, 5e-2, 5e-1),
    "grokadamw": (1e-7, 1e-3, 1e-2),
    "lion": (1e-8, 3e-4, 3e-3),
    "lomo": (1e-5, 1e-1, 1.0),
    "paged_ad": (1e-7, 1e-3, 1e-2),
    "paged_lion": (1e-8, 3e-4, 3e-3),
    "rmsprop": (1e-7, 1e-3, 1e-2),
    "schedule_free_adam": (1e-6, 1e-2, 1e-1),
    "schedule_free_radam": (1e-6, 1e-2, 1e-1),
    "schedule_free_sgd": (1e-4, 1e1, 1e2),
    "sgd": (1e-5, 1.0, 1e1),
    "stable_adam": (1e-7, 1e-3, 1e-2),
}
#: An adapter bears, and needs, so many times the LR.
_ADAPTER = 5


def lr_out_of_range(facts: Facts) -> Iterator[Finding]:
    """An LR far outside of what fine-tuning uses, for the optimizer and the model at hand.

    Toy models, optimizers that are not known and adapters' higher LRs are let pass.
    """
    lrs = [lr for lr in facts.group_lrs if lr > 0] or ([] if facts.learning_rate is None else [facts.learning_rate])
    if not lrs or (facts.model.is_pretrained is False and all(map(_is_usable, lrs))):
        return
    if not all(map(_is_usable, lrs)):
        bad = next(lr for lr in lrs if not _is_usable(lr))
        yield error(
            f"the learning rate is {bad:g}",
            "With it no weight is trained, or every weight becomes NaN",
            "Set a finite number above 0; 2e-5 is a good start for BERT",
        )
        return
    name = facts.optim or ""
    if name.endswith("schedulefree"):  # the class, in place of Trainer's name
        name = f"schedule_free_{name}"
    key = max((prefix for prefix in _RANGES if name.startswith(prefix)), key=len, default=None)
    if key is None:
        return
    lowest, pretrained, highest = _RANGES[key]
    is_pretrained = facts.model.is_pretrained is True
    most = pretrained * (_ADAPTER if facts.model.has_adapter else 1) if is_pretrained else highest
    usual = (
        "2e-5 to 5e-5 for BERT and its kin, up to 1e-3 for LoRA" if key == "adam" else f"{lowest:g} to {pretrained:g}"
    )
    if min(lrs) >= highest or min(lrs) > most:
        tell = error if min(lrs) >= highest and is_pretrained else warning
        yield tell(
            f"the learning rate of {min(lrs):g} is far above what {name} is used with",
            f"Fine-tuning uses {usual}; at {min(lrs) / pretrained:.3g} times the highest of these a pretrained model forgets what "
            "it knows, or its loss becomes NaN",
            "Start from 2e-5, and raise it only as far as the validation metric follows"
            if key == "adam"
            else f"Start from {math.sqrt(lowest * pretrained):.0e}",
        )
    elif max(lrs) < lowest:
        yield warning(
            f"the learning rate of {max(lrs):g} is far below what {name} is used with",
            f"Fine-tuning uses {usual}; with this one the weights hardly move",
            "Start from 2e-5" if key == "adam" else f"Start from {math.sqrt(lowest * pretrained):.0e}",
        )


def schedule_free_optimizer(facts: Facts) -> Iterator[Finding]:
    """A decaying schedule on a schedule-free optimizer, whose averaging takes the decay's place.

    https://github.com/huggingface/transformers/issues/30079; Defazio et al. 2024, https://arxiv.org/abs/2405.15682.
    """
    name = (facts.optim or "").replace("_", "").lower()
    plan = plan_of(facts)
    if "schedulefree" not in name or plan is None or plan.climb >= plan.total:
        return
    points = plan.points[plan.points >= plan.climb]
    lowest = float(plan.factor(points).min())
    if lowest < 0.9 * plan.top:
        yield warning(
            f"{facts.optim} is schedule-free, and the schedule decays: {plan.text}",
            f"Its averaging does what a decay is for; the LR would fall to {100 * lowest:.3g}% of its peak, too",
            "Write lr_scheduler_type: constant_with_warmup, or warmup(5%) >> hold()",
        )


def other_optimizer(facts: Facts) -> Iterator[Finding]:
    """A scheduler that is tied to another optimizer than the one that trains: the log shows LRs that no weight was trained with."""
    scheduler = facts.scheduler
    if scheduler is None:
        return
    if scheduler.drives_another:
        yield error(
            f"the {scheduler.kind} in optimizers= is tied to another optimizer than the one that will train",
            "The log will show its LRs while the real ones stay as they are",
            "Pass the optimizer that it was made with, too: optimizers=(optimizer, scheduler)",
        )
    pairs = list(zip(scheduler.shows, scheduler.trains, strict=False))
    wrong = [pair for pair in pairs if not math.isclose(*pair, rel_tol=1e-6, abs_tol=1e-15)]
    if wrong:
        shown, used = wrong[0]
        yield error(
            f"the checkpoint's scheduler says that the next LR is {shown:.3g}, and its optimizer has {used:.3g}",
            "The scheduler drives another optimizer, or something else writes LRs; the log shows LRs that no weight had",
            "Pass both, optimizers=(optimizer, scheduler), and let nothing else write LRs; ScheduleCallback reports it while the run trains",
        )


def reused_scheduler(facts: Facts) -> Iterator[Finding]:
    """A user's scheduler that an earlier train() has spent, or that a second one will go on with: Trainer never makes it anew.

    https://github.com/huggingface/transformers/issues/21521 and /issues/24521.
    """
    scheduler = facts.scheduler
    if scheduler is None:
        return
    position, done = scheduler.position or 0, facts.steps_done or 0
    if position > done and (scheduler.is_users or facts.steps_done is not None):
        yield error(
            f"the {scheduler.kind} is at update {position}, and the training at {done}: an earlier train() has used it",
            "The schedule goes on from there, and its first part, with the warmup, is missing",
            "Make a scheduler for each train(), or train with ScheduledTrainer, which does",
        )
    elif scheduler.is_users and facts.finds_batch_size:
        yield warning(
            f"auto_find_batch_size starts anew after each failure, and the {scheduler.kind} in optimizers= does not",
            "Each further try goes on with a schedule that is partly spent, and that was made for fewer updates",
            "Set per_device_train_batch_size by hand, or train with ScheduledTrainer, which makes a schedule for each try",
        )
    elif scheduler.is_users and not scheduler.drives_another:
        yield note(
            f"the {scheduler.kind} in optimizers= serves one train()",
            "Trainer does not make it anew: a second train() would go on at the end of its schedule",
            "Make another for each train(), or train with ScheduledTrainer, which does",
        )


def _is_usable(lr: float) -> bool:
    return math.isfinite(lr) and lr > 0
