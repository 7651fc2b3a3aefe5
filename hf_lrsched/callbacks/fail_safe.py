"""FailSafeCallback: a callback that only watches, and so never ends a run."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from ..schedules import ScheduleError

logger = logging.getLogger(__name__)


class FailSafeCallback(TrainerCallback):
    """Base class of callbacks that only watch.

    An unexpected error in one of its hooks is logged once and turns the callback off until the next `train()`; the training
    continues. A [`ScheduleError`], which is meant for the user, still ends the run.
    """

    #: The state of the run in which it failed.
    _failed_in: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, hook in list(vars(cls).items()):
            if name.startswith("on_") and callable(hook):
                setattr(cls, name, _contain_errors(hook))


def _contain_errors(hook: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(hook)
    def call(self, args, state, control, **kwargs):
        if self._failed_in is state:
            return None
        try:
            return hook(self, args, state, control, **kwargs)
        except ScheduleError:
            raise
        except Exception as error:
            self._failed_in = state
            name = type(self).__name__
            logger.warning(
                f"{name} failed and is off for the rest of this run ({type(error).__name__}: {error}). The training continues. "
                "Please report this as a bug.",
                exc_info=True,
            )
            return None

    return call
