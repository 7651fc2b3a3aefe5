"""Preview: the updates that a long run is looked at."""

from hf_lrsched import Horizon, parse
from hf_lrsched.plots.preview import Preview


def test_long_run_is_sampled_at_every_boundary():
    preview = Preview.of([parse("warmup(123457) >> step(every=50%, factor=0.5)")], Horizon(10_000_000))
    _, rows = preview.rows()
    updates = [row[0] for row in rows]
    assert len(rows) <= 100_010 and {1, 123_457, 123_458, 10_000_000} <= set(updates)
