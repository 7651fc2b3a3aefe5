"""The doctor's checks before the first update."""

from typing import Any

from ..doctor.from_trainer import facts_from_trainer


def tell_findings(trainer: Any, num_updates: int, updates_per_epoch: int | None, told: set[Any], log: Any) -> None:
    """Logs what is wrong with a run that is about to begin, each finding once; never stops it.

    Args:
        trainer (`transformers.Trainer`): The Trainer.
        num_updates (`int`): All updates of the run.
        updates_per_epoch (`int`, *optional*): Those of an epoch, where there are any.
        told (`set`): What was logged before; it is added to.
        log (`logging.Logger`): Where to.
    """
    from ..doctor import run_checks

    try:
        facts = facts_from_trainer(trainer, num_updates, updates_per_epoch)
        findings = [finding for finding in run_checks(facts) if finding.is_wrong]
    except Exception as error:  # a run must not die of being looked at
        log.debug(f"the doctor could not look at the run: {type(error).__name__}: {error}", exc_info=True)
        return
    for finding in findings:
        # What the schedule's own explanation has told is not told again.
        if finding not in told and finding.check != "doubtful_schedule":
            told.add(finding)
            log.warning(str(finding))
