"""What a run's losses tell while it trains."""
