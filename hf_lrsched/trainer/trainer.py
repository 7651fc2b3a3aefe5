"""ScheduledTrainer, and scheduled() for any subclass of Trainer."""

import functools

from transformers import Trainer

from .mixin import ScheduleMixin


class ScheduledTrainer(ScheduleMixin, Trainer):
    """Train as `transformers.Trainer`, with a `schedule=`.

    [`ScheduleMixin`] has the arguments `schedule`, `on_resume`, `groups`, `clock` and `find_lr`; the others are Trainer's.

    Example:
    ```python
    trainer = ScheduledTrainer(model=model, args=args, train_dataset=train, eval_dataset=dev,
                               schedule=warmup("10%") >> linear())
    trainer.train()
    ```
    """


@functools.cache
def scheduled(trainer_class: type[Trainer]) -> type[Trainer]:
    """Make a subclass of a Trainer that takes a `schedule=`: `scheduled(SFTTrainer)(..., schedule="warmup(10%) >> cosine()")`.

    Args:
        trainer_class (`type[Trainer]`): The class; one that has a schedule already is returned as it is.

    Returns:
        `type[Trainer]`: The class, with the arguments of [`ScheduleMixin`].

    Raises:
        TypeError: Not a subclass of `transformers.Trainer`.

    Example:
    ```python
    >>> from transformers import Seq2SeqTrainer
    >>> scheduled(Seq2SeqTrainer).__name__
    'ScheduledSeq2SeqTrainer'

    ```
    """
    if not (isinstance(trainer_class, type) and issubclass(trainer_class, Trainer)):
        raise TypeError(f"scheduled() takes a subclass of transformers.Trainer, got {trainer_class!r}")
    if issubclass(trainer_class, ScheduleMixin):
        return trainer_class
    doc = f"`{trainer_class.__name__}` with a `schedule=`. See [`ScheduleMixin`]."
    return type(f"Scheduled{trainer_class.__name__}", (ScheduleMixin, trainer_class), {"__doc__": doc})
