"""The families of schedules, one group of shapes per file."""
