"""The monitor: what a run's losses show while it trains. Plain Python, without torch and Trainer."""
