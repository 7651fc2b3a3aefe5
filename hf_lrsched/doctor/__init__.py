"""The doctor: finds what goes wrong in silence, before the run. See docs/doctor.md."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from .facts import Facts
from .finding import Finding
from .from_path import facts_of_path, with_updates

__all__ = ["Finding", "diagnose", "facts_of", "findings_of"]


def diagnose(subject: Any, num_updates: int | None = None) -> list[Finding]:
    """What goes wrong in silence with a run.

    Args:
        subject (`str`, `Path` or `transformers.Trainer`): A recipe's YAML, `training_args.bin`, saved `TrainingArguments` as
            JSON, accelerate's YAML, a run's folder, or a built Trainer, this package's or any other. A pickled file is read
            without executing anything of it.
        num_updates (`int`, *optional*): All updates of the run, where the source can't tell.

    Returns:
        `list[Finding]`: Empty where nothing was found.

    Raises:
        ScheduleError: There is nothing to look at, or it is damaged.

    Example:
    ```python
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     config = Path(folder, "rte.yaml")
    ...     _ = config.write_text("learning_rate: 2e-5\\nwarmup_steps: 500")
    ...     findings = diagnose(config, num_updates=468)
    >>> [(finding.severity, finding.check) for finding in findings]
    [('error', 'long_warmup'), ('note', 'no_lr_logged')]
    >>> findings[0].what
    'the warmup takes 500 updates, and the run has 468'

    ```
    """
    return findings_of(facts_of(subject, num_updates))


def facts_of(subject: Any, num_updates: int | None = None) -> Facts:
    """What is known of a run: see [`diagnose`]."""
    if isinstance(subject, str | Path):
        return facts_of_path(subject, num_updates)
    if not hasattr(subject, "train_dataset") or not hasattr(subject, "args"):
        raise TypeError(f"the doctor looks at a path or a Trainer, got {type(subject).__name__}")
    from .from_trainer import facts_of_trainer  # which needs transformers

    return with_updates(facts_of_trainer(subject), num_updates)


def findings_of(facts: Facts) -> list[Finding]:
    """What each check finds, in their order."""
    from .checks import CHECKS

    return [replace(finding, check=check.__name__) for check in CHECKS for finding in check(facts)]
