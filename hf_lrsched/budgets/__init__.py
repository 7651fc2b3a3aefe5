"""Train a run with several budgets at once: one trunk that holds its LR, and a cooldown for each budget."""

from .result import Branch, Budgets
from .train import train_budgets

__all__ = ["Branch", "Budgets", "train_budgets"]
