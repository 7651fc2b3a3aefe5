"""Checks of the optimizer: its LRs, and whose scheduler it has."""

import math
from collections.abc import Iterator

from ..facts import Facts
from ..finding import Finding
from .format import error, note, warning

#: LRs that pretrained models were trained with, the lowest and the highest, by the beginning of an optimizer's name. Adam: 2e-5 to 5e-5 for BERT (Devlin et al. 2018, https://arxiv.org/abs/1810.04805), up to
#: 1e-3 for LoRA (Hu et al. 2021, https://arxiv.org/abs/2106.09685), 1e-4 to 1e-3 from scratch. Adafactor: 1e-3 for T5 (Raffel
#: et al. 2019, https://arxiv.org/abs/1910.10683). Lion: three to ten times less than Adam (Chen et al. 2023,
#: https://arxiv.org/abs/2302.06675). Schedule-free Adam: one to ten times more (Defazio et al. 2024,
#: https://arxiv.org/abs/2405.15682). GaLore, APOLLO: 1e-2 (Zhao et al. 2024, https://arxiv.org/abs/2403.03507).
_ADAM = (1e-7, 1e-3)
LR_RANGES = {
    "adafactor": (1e-7, 1e-2),
    "adagrad": (1e-6, 1e-1),
    "adalomo": (1e-6, 1e-2),
    "lomo": (1e-5, 1e-1),
    "schedule_free_sgd": (1e-4, 1e1),
    "sgd": (1e-5, 1.0),
    **dict.fromkeys(("adam", "ademamix", "grokadamw", "paged_ad", "rmsprop", "stable_adam"), _ADAM),
    **dict.fromkeys(("apollo", "galore"), (1e-6, 5e-2)),
    **dict.fromkeys(("lion", "paged_lion"), (1e-8, 3e-4)),
    **dict.fromkeys(("schedule_free_adam", "schedule_free_radam"), (1e-6, 1e-2)),
}
#: An adapter takes so many times the LR.
_ADAPTER = 5
#: A model from scratch takes so many times the LR of a pretrained one.
_FROM_SCRATCH = 10


def lr_out_of_range(facts: Facts) -> Iterator[Finding]:
    """An LR far outside of what fine-tuning uses, for the optimizer and the model at hand.

    Toy models and the higher LRs of adapters draw no warning. An unknown optimizer is not checked.
    """
    lrs = [lr for lr in facts.group_lrs if lr > 0] or ([] if facts.learning_rate is None else [facts.learning_rate])
    if invalid := [lr for lr in lrs if not (math.isfinite(lr) and lr > 0)]:
        yield error(
            f"the learning rate is {invalid[0]:g}",
            "The weights stay as they are, or become NaN",
            "Set a finite number above 0; 2e-5 is a good start for BERT",
        )
        return
    # A class of schedulefree stands in place of Trainer's name.
    name = f"schedule_free_{facts.optim}" if facts.optim.endswith("schedulefree") else facts.optim
    key = max((prefix for prefix in LR_RANGES if name.startswith(prefix)), key=len, default=None)
    if not lrs or facts.model.is_pretrained is False:
        return
    if key is None:
        yield note(
            f"not checked: whether the learning rate of {lrs[0]:g} is in the usual range",
            f"The usual range of {name} is unknown",
            "Compare it with a run that trained well",
        )
        return
    lowest, usual = LR_RANGES[key]
    highest = usual * _FROM_SCRATCH
    allowed = usual * (_ADAPTER if facts.model.has_adapter else 1) if facts.model.is_pretrained else highest
    lr_range, start = f"{lowest:g} to {usual:g}", f"Start from {math.sqrt(lowest * usual):.0e}"
    if key == "adam":
        lr_range, start = "2e-5 to 5e-5 for BERT, up to 1e-3 for LoRA", "Start from 2e-5"
    if min(lrs) >= highest or min(lrs) > allowed:
        report = error if min(lrs) >= highest and facts.model.is_pretrained else warning
        yield report(
            f"the learning rate of {min(lrs):g} is far above the usual range of {name}",
            f"Fine-tuning uses {lr_range}. At {min(lrs) / usual:.3g} times the highest of these, a pretrained model forgets what "
            "it learned, or its loss becomes NaN",
            f"{start}, and raise it while the validation metric improves",
        )
    elif max(lrs) < lowest:
        yield warning(
            f"the learning rate of {max(lrs):g} is far below the usual range of {name}",
            f"Fine-tuning uses {lr_range}. With this one the weights hardly move",
            start,
        )


def schedule_free_optimizer(facts: Facts) -> Iterator[Finding]:
    """A decaying schedule with a schedule-free optimizer, whose averaging replaces the decay.

    https://github.com/huggingface/transformers/issues/30079; Defazio et al. 2024, https://arxiv.org/abs/2405.15682.
    """
    curve, name = facts.curve, facts.optim.replace("_", "").lower()
    if "schedulefree" not in name or curve is None or curve.has_no_peak:
        return
    lowest = curve.find_lowest_after_peak()
    if lowest < 0.9 * curve.peak_factor:
        yield warning(
            f"{facts.optim} is schedule-free, but the schedule decays: {curve.text}",
            f"The optimizer's averaging replaces a decay; here the LR also falls to {100 * lowest:.3g}% of its peak",
            "Set lr_scheduler_type: constant_with_warmup, or schedule: warmup(5%) >> hold()",
        )


def scheduler_of_other_optimizer(facts: Facts) -> Iterator[Finding]:
    """A scheduler that is bound to another optimizer than the one that trains, so that the log shows LRs that no weight had."""
    scheduler = facts.scheduler
    if scheduler is None:
        return
    if scheduler.drives_other_optimizer:
        yield error(
            f"the {scheduler.name} in optimizers= is bound to another optimizer than the one that will train",
            "The log will show its LRs, while the optimizer trains with a constant LR",
            "Pass the optimizer that it was made with too: optimizers=(optimizer, scheduler)",
        )
    pairs = zip(scheduler.next_lrs, scheduler.optimizer_lrs, strict=False)
    different = [pair for pair in pairs if not math.isclose(*pair, rel_tol=1e-6, abs_tol=1e-15)]
    if different:
        logged, used = different[0]
        yield error(
            f"the checkpoint's scheduler has {logged:.3g} as the next LR, but its optimizer has {used:.3g}",
            "The scheduler drives another optimizer, or something else writes LRs; the log shows LRs that no weight had",
            "Pass both, optimizers=(optimizer, scheduler), and let nothing else write LRs; ScheduleCallback reports who does",
        )


def reused_scheduler(facts: Facts) -> Iterator[Finding]:
    """A passed scheduler that an earlier train() has used up, or that a second one will continue: Trainer never resets it.

    https://github.com/huggingface/transformers/issues/21521 and /issues/24521.
    """
    scheduler = facts.scheduler
    if scheduler is None:
        return
    update, done = scheduler.update or 0, facts.updates_done or 0
    if update > done and (scheduler.is_passed or facts.updates_done is not None):
        yield error(
            f"the {scheduler.name} is at update {update}, but the training is at {done}: an earlier train() has used it",
            "The schedule continues from there, without its beginning and its warmup",
            "Make a scheduler for each train(), or use ScheduledTrainer, which does",
        )
    elif scheduler.is_passed and facts.auto_find_batch_size:
        yield warning(
            f"auto_find_batch_size restarts the training after each failure, but not the {scheduler.name} in optimizers=",
            "Each further try continues a schedule that is partly used up and was made for fewer updates",
            "Set per_device_train_batch_size by hand, or use ScheduledTrainer, which makes a scheduler for each try",
        )


CHECKS = (lr_out_of_range, schedule_free_optimizer, scheduler_of_other_optimizer, reused_scheduler)
