"""The record: rows that a resume made again, and the LRs that follow from it."""

import json

import numpy as np
import pytest

from hf_lrsched.runs.append_only import Appender
from hf_lrsched.runs.record import Record, Segment, lrs
from hf_lrsched.runs.rows import Rows
from hf_lrsched.schedules import Horizon
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory

SETTINGS = RunSettings("linear()", Horizon(10), (1.0, 10.0))
LINEAR = np.array([1 - t / 10 for t in range(10)])


def segment(start, scale=1.0, settings=SETTINGS, offset=0.0):
    return Segment(start, Trajectory(settings), offset, (scale, scale))


def test_lrs_of_segments():
    found = lrs([segment(0), segment(4, 0.5)], np.arange(10.0))
    expected = LINEAR * np.where(np.arange(10) < 4, 1, 0.5)
    np.testing.assert_allclose(found, [expected, 10 * expected], rtol=1e-15)


def test_lrs_before_the_first_segment_are_not_known():
    (found, _) = lrs([segment(3)], np.array([2.0, 3.0, 1.0, 9.0]))
    np.testing.assert_allclose(found, [np.nan, LINEAR[3], np.nan, LINEAR[9]])


def test_later_of_two_segments_at_one_update_holds():
    (found, _) = lrs([segment(0), segment(4, 0.5), segment(4, 0.25)], np.array([3.0, 4.0]))
    np.testing.assert_allclose(found, [LINEAR[3], LINEAR[4] / 4])


def test_a_segment_comes_back_from_json():
    made = segment(3, 0.3, RunSettings("linear()", Horizon(10, 3), (0.1 + 0.2, 1e-300), ("hold()", None)), 1 / 3)
    row = {"step": 3, **json.loads(json.dumps(made.to_row()))}
    assert Segment.from_row(row) == made


@pytest.fixture
def record(tmp_path):
    """Writes rows and reads them: `record(run=[...], train=[...], ...)`."""

    def make(**files):
        for name, rows in files.items():
            (tmp_path / f"{name}.jsonl").unlink(missing_ok=True)
            for row in rows:
                Appender(tmp_path / f"{name}.jsonl").append(row)
        return Record.read(tmp_path)

    return make


def start(number, step, scale=1.0, **more):
    return {"start": number, "step": step, **segment(step, scale).to_row(), **more}


def at(number, *steps):
    return [{"start": number, "step": step} for step in steps]


def test_rows_that_a_resume_made_again(record):
    found = record(run=[start(0, 0), start(1, 4)], train=[*at(0, 2, 4, 6, 8), *at(1, 6, 8, 10)])
    assert found.train == [*at(0, 2, 4), *at(1, 6, 8, 10)]


def test_rows_that_two_resumes_made_again(record):
    starts = [start(0, 0), start(1, 6), start(2, 2), start(3, 4)]
    found = record(run=starts, train=[*at(0, 2, 4, 6, 8), *at(1, 8, 10), *at(2, 4, 6), *at(3, 6)])
    assert found.train == [*at(0, 2), *at(2, 4), *at(3, 6)]
    assert [segment.start for segment in found.segments()] == [0, 2, 4]


def test_lrs_are_unknown_without_the_row_of_a_start(record):
    assert record(run=[start(0, 0)], train=at(0, 2)).segments() is not None
    assert record(train=[*at(0, 2), *at(1, 1)]).segments() is None


def test_lrs_are_unknown_without_the_schedule_of_the_latest_start(record):
    assert record(run=[start(0, 0), {"start": 1, "step": 3, "schedule": None}]).segments() is None


@pytest.mark.parametrize("step", [-1, 10**20, 1e308])
def test_rows_of_updates_that_cannot_be_are_left_out(record, step):
    assert record(run=[start(0, 0)], train=at(0, 2, step, 4)).train == at(0, 2, 4)


@pytest.mark.parametrize("damage", [{"start": None}, {"step": "x"}, {"t": 1e300}, {"step": -1}, {"start": [0]}])
def test_events_and_starts_without_counts_are_lost(record, damage):
    event = {"start": 0, "step": 2, "t": 2, "kind": "plateau"}
    found = record(run=[start(0, 0), start(1, 4) | damage], events=[event, event | damage])
    assert (len(found.starts), found.events, found.num_lost) == (1, [event], 2)


def test_a_record_that_is_not_there(tmp_path):
    found = Record.read(tmp_path / "nothing")
    assert found == Record([], Rows(), Rows(), [], Rows()) and found.segments() is None
