"""The doctor: finds silent errors in the settings of a run before its first update. See docs/doctor.md."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from .facts import Facts
from .finding import Finding
from .from_path import read_facts_from_path, with_updates

__all__ = ["Facts", "Finding", "diagnose", "get_facts", "run_checks"]


def diagnose(subject: Any, num_updates: int | None = None) -> list[Finding]:
    """Find silent errors in the settings of a run.

    Args:
        subject (`str`, `Path` or `transformers.Trainer`): A recipe's YAML, `training_args.bin`, saved `TrainingArguments` as
            JSON, accelerate's YAML, a run folder, or a built Trainer, of this package or any other. Nothing in a pickled
            file is executed, and nothing of a Trainer is changed.
        num_updates (`int`, *optional*): All updates of the run, if the subject does not say.

    Returns:
        `list[Finding]`: Errors, warnings and notes; empty where nothing was found.

    Raises:
        ScheduleError: The subject is missing, corrupted or of an unknown kind.

    Example:
    ```python
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     config = Path(folder, "rte.yaml")
    ...     _ = config.write_text("learning_rate: 2.0e-5\\nwarmup_steps: 500")
    ...     findings = diagnose(config, num_updates=468)
    >>> [(finding.severity, finding.check) for finding in findings]
    [('error', 'long_warmup'), ('note', 'no_lr_logged')]
    >>> findings[0].what
    'the warmup takes 500 updates, but the run has only 468'

    ```
    """
    return run_checks(get_facts(subject, num_updates))


def get_facts(subject: Any, num_updates: int | None = None) -> Facts:
    """Collect what is known of a run; see [`diagnose`]."""
    if isinstance(subject, str | Path):
        return with_updates(read_facts_from_path(Path(subject)), num_updates)
    if not hasattr(subject, "train_dataset") or not hasattr(subject, "args"):
        raise TypeError(f"diagnose() takes a path or a Trainer, got {type(subject).__name__}.")
    from .from_trainer import read_facts_from_trainer  # which imports transformers

    return with_updates(read_facts_from_trainer(subject), num_updates)


def run_checks(facts: Facts) -> list[Finding]:
    """Run every check, in their order."""
    from .checks import CHECKS

    return [replace(finding, check=check.__name__) for check in CHECKS for finding in check(facts)]
