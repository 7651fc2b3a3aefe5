"""The monitor: what a run's losses show while it trains. Plain Python; only `update_losses` needs torch."""
