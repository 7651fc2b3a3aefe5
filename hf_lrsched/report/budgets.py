"""What the report of a search over budgets begins with: its curve and its table."""

from collections.abc import Mapping
from typing import Any

from ..plots.budgets import draw_budgets
from ..plots.style import to_bytes
from ..runs.metrics import get_display_name
from .tables import Lead, Table, draw_as_uri, format_cell


def make_lead(budgets: Mapping[str, Any]) -> Lead:
    """Make the table and the plot of [`Budgets.to_data`]."""
    header = ["budget", "seed", "updates", "seconds", get_display_name(budgets["metric"])]
    rows = [
        [
            branch["budget"],
            *(format_cell(branch[name]) for name in ("seed", "updates")),
            f"{branch['seconds']:.1f}",
            format_cell(branch["metrics"].get(budgets["metric"])),
        ]
        for branch in budgets["branches"]
    ]
    table = Table("How long to train", header, rows, budgets["recommendation"], numbers=frozenset(range(1, 5)))
    text = "The metric of each budget against its updates. The numbers are in the table."
    return Lead(table, draw_as_uri(lambda: to_bytes(draw_budgets(budgets))), text)
