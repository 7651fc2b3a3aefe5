"""Cells, arms, and the grid of them."""

import pytest

from hf_lrsched.compare.cells import AUTO, Arm, Cell, Grid, read_lrs
from hf_lrsched.schedules import ScheduleError

from .fake_recipe import COSINE, LINEAR, STEP


def test_runs_come_seed_by_seed():
    grid = Grid((LINEAR, COSINE), (1e-4,), 2)
    assert [(cell.arm.schedule, cell.seed) for cell in grid.runs] == [
        (LINEAR, 0),
        (COSINE, 0),
        (LINEAR, 1),
        (COSINE, 1),
    ]
    assert grid.searches == []


def test_each_schedule_is_searched_once():
    grid = Grid((LINEAR, COSINE), (AUTO, 1e-4), 3)
    assert [cell.arm.schedule for cell in grid.searches] == [LINEAR, COSINE]
    assert {cell.search for cell in grid.runs} == {*grid.searches}
    assert grid.cells == [*grid.searches, *grid.runs] and len(grid.runs) == 12


def test_first_schedule_is_compared_with_at_each_lr():
    first, second, third = (Arm(schedule, 1e-4) for schedule in (LINEAR, COSINE, STEP))
    assert Grid((LINEAR, COSINE, STEP), (1e-4,), 1).families() == [(first, [second, third])]
    grid = Grid((LINEAR, COSINE), (1e-4, AUTO), 1)
    assert grid.families()[1] == (Arm(LINEAR, AUTO), [Arm(COSINE, AUTO)])
    assert Grid((LINEAR,), (1e-4, 2e-4, AUTO), 1).families() == [(first, [Arm(LINEAR, 2e-4), Arm(LINEAR, AUTO)])]


def test_folders_and_plain_data_of_cells_are_distinct():
    cells = Grid((LINEAR, COSINE, "warmup(10) >> linear()"), (1e-4, AUTO), 2).cells
    assert len({cell.folder for cell in cells}) == len(cells)
    assert [Cell.from_data(cell.to_data()) for cell in cells] == cells


@pytest.mark.parametrize(
    ("schedules", "lrs", "seeds", "message"),
    [
        ((LINEAR, COSINE), (1e-4,), 0, "--seeds must be at least 1, got 0"),
        ((LINEAR, LINEAR), (1e-4,), 2, "equals 'warmup"),
        (
            (LINEAR, "warmup(0.1)>>linear(to=0)"),
            (1e-4,),
            2,
            "'warmup(0.1)>>linear(to=0)' equals 'warmup(10%) >> linear()'",
        ),
        ((LINEAR, COSINE), (1e-4, 0.0001), 2, "given twice"),
        ((LINEAR, COSINE), read_lrs(["fast"]), 2, "numbers above 0 and auto, got 'fast'"),
        ((LINEAR, COSINE), (-1.0,), 2, "got -1.0"),
        ((LINEAR,), (1e-4,), 2, "needs two schedules, or two learning rates"),
        ((LINEAR, "warmup(10%) >> lineer()"), (1e-4,), 2, "lineer"),
    ],
)
def test_invalid_grids(schedules, lrs, seeds, message):
    with pytest.raises(ScheduleError) as raised:
        Grid(schedules, lrs, seeds)
    assert message in str(raised.value)
