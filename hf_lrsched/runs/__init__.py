"""What a run leaves on disk, and how it is read back; without torch."""

from .run import Run, read_run

__all__ = ["Run", "read_run"]
