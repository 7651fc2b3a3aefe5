"""The doctor's checks before the first update."""

from logging import Logger
from typing import Any

from ..doctor import Finding, run_checks
from ..doctor.from_trainer import read_facts_from_trainer

#: The schedule's own explanation, which is printed, has the one; ScheduleCallback warns of the other.
_SAID_ELSEWHERE = ("doubtful_schedule", "best_metric_direction")


def log_findings(
    trainer: Any, num_updates: int, updates_per_epoch: int | None, logged: set[Finding], log: Logger
) -> None:
    """Log the errors and warnings about a run that is about to begin, each once; never stop it.

    Args:
        trainer (`transformers.Trainer`): The Trainer.
        num_updates (`int`): All updates of the run.
        updates_per_epoch (`int`, *optional*): Updates of an epoch, if the data has a length.
        logged (`set[Finding]`): Findings that were logged before; new ones are added.
        log (`logging.Logger`): The logger.
    """
    try:
        facts = read_facts_from_trainer(trainer, num_updates, updates_per_epoch)
        findings = [finding for finding in run_checks(facts) if finding.is_wrong]
    except Exception as error:  # a check that fails must not stop the training
        log.debug(f"the doctor could not check the run: {type(error).__name__}: {error}", exc_info=True)
        return
    for finding in findings:
        if finding not in logged and finding.check not in _SAID_ELSEWHERE:
            logged.add(finding)
            log.warning(str(finding))
