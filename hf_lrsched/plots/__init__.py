"""Plots: schedules before training, a run, several runs, a heat map of the groups, a box for each schedule.

All return a matplotlib `Figure`, need no display and have a white background of their own.
"""

from .boxes import draw_boxes
from .heat_map import draw_heat_map
from .run import draw_run
from .runs import draw_runs
from .schedules import draw_schedules

__all__ = ["draw_boxes", "draw_heat_map", "draw_run", "draw_runs", "draw_schedules"]
