"""A worker of a comparison: what it runs, shares, gives back and reports."""

import json

import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402

from hf_lrsched.compare import worker as module  # noqa: E402
from hf_lrsched.compare.cells import AUTO  # noqa: E402
from hf_lrsched.compare.storage import open_study  # noqa: E402
from hf_lrsched.compare.worker import MAX_LOSSES, SEARCH_SEED, CellError, read_metrics  # noqa: E402
from hf_lrsched.schedules import ScheduleError  # noqa: E402

from .fake_recipe import COSINE, LINEAR, get_accuracy  # noqa: E402


def count_starts(folder):
    return {path.parent.name: len(path.read_text(encoding="utf-8").split()) for path in folder.glob("*/starts")}


def test_every_cell_is_run_once_with_its_settings(make_worker, tmp_path):
    worker = make_worker(lrs=(1e-4, AUTO))
    worker.work()
    outcomes = worker.list_outcomes()
    assert len(outcomes) == 2 + 12 and {outcome.state for outcome in outcomes} == {"complete"}
    for outcome in outcomes[2:]:
        cell = outcome.cell
        assert outcome.metrics["eval_accuracy"] == get_accuracy(cell.arm.schedule, cell.seed)
        assert outcome.lr == (3e-4 if cell.arm.lr == AUTO else 1e-4)
    assert {*count_starts(tmp_path).values()} == {1}
    assert worker.lines[0] == f"[0 of 12] search for the peak LR of {LINEAR}: 0.0003"
    assert worker.lines[-1].startswith("[12 of 12] ") and worker.lines[-1].endswith("(LR 0.0003)")


def test_restarted_command_goes_on_and_takes_more_seeds(make_worker, tmp_path):
    make_worker(num_seeds=2).work()
    worker = make_worker(num_seeds=3)
    assert [outcome.state for outcome in worker.list_outcomes()] == ["complete"] * 4 + ["waiting"] * 2
    worker.work()
    assert {outcome.state for outcome in worker.list_outcomes()} == {"complete"}
    assert {*count_starts(tmp_path).values()} == {1} and len(count_starts(tmp_path)) == 6


def test_cells_that_two_processes_enqueue_are_run_once(make_worker, tmp_path):
    first, second = make_worker(), make_worker()
    trials = first.study.get_trials()
    first._enqueue()
    for cell in second.grid.cells:  # at the same time: it has not seen those of the first
        second.study.enqueue_trial({}, user_attrs={"cell": cell.to_data()})
    assert len(first.study.get_trials()) == len(trials) + 12
    second.work()
    first.work()
    assert {*count_starts(tmp_path).values()} == {1} and len(count_starts(tmp_path)) == 6
    assert len([each for each in first.study.trials if each.state is TrialState.COMPLETE]) == 6


def test_cell_that_fails_does_not_stop_the_others(make_worker, tmp_path):
    worker = make_worker(failing_seed=1)
    worker.work()
    found = {(outcome.cell.arm.schedule, outcome.cell.seed): outcome for outcome in worker.list_outcomes()}
    assert [key for key, outcome in found.items() if outcome.state == "failed"] == [(LINEAR, 1), (COSINE, 1)]
    assert found[LINEAR, 1].error.startswith("error: no memory is left (see ")
    worker.work()  # a restart does not repeat it
    assert {*count_starts(tmp_path).values()} == {1}
    repaired = make_worker()
    repaired.repeat_failed()
    repaired.work()
    assert {outcome.state for outcome in repaired.list_outcomes()} == {"complete"}


def test_search_that_fails_leaves_out_its_runs(make_worker, monkeypatch):
    worker = make_worker(lrs=(AUTO,))
    monkeypatch.setattr(module, "run_recipe", lambda command, log, on_poll: log.touch() or 3)
    worker.work()
    outcomes = worker.list_outcomes()
    assert {outcome.state for outcome in outcomes} == {"failed"}
    assert outcomes[0].error.startswith("exit status 3") and outcomes[-1].error == "its peak LR was not found"


def test_search_of_a_recipe_that_does_not_know_it(make_worker, monkeypatch):
    worker = make_worker(lrs=(AUTO,))
    monkeypatch.setattr(module, "run_recipe", lambda command, log, on_poll: 0)
    worker.work()
    assert "the search left no lr_search.json" in worker.list_outcomes()[0].error


def test_search_has_a_seed_that_no_run_has(make_worker, monkeypatch):
    worker, seeds = make_worker(lrs=(AUTO,)), []
    monkeypatch.setattr(
        module, "run_recipe", lambda command, log, on_poll: log.touch() or seeds.extend(command[2:]) or 3
    )
    worker.work()
    assert {each for each in seeds if each.startswith("--seed=")} == {f"--seed={SEARCH_SEED}"}


@pytest.mark.filterwarnings("error")
def test_run_that_is_worse_than_the_median_is_pruned(make_worker, tmp_path, storage, monkeypatch):
    """Once five cells are complete; the others are pairs, and a restart does not repeat the pruned one."""
    worker = make_worker(num_seeds=3)
    worker.study = open_study(storage, "pruned", {}, maximize=True, heartbeat=1, prune=True)
    ended = []

    def run_recipe(command, log, on_poll):
        folder = tmp_path / next(each for each in command if each.startswith("--output_dir=")).partition("=")[2]
        folder.mkdir(exist_ok=True)
        accuracy = 0.1 if len(ended) in (2, 5) else 0.5
        for step in (5, 10):
            records = [{"step": each, "epoch": each, "eval_accuracy": accuracy} for each in range(5, step + 1, 5)]
            state = json.dumps({"log_history": records, "global_step": step, "max_steps": 10})
            (folder / "trainer_state.json").write_text(state, encoding="utf-8")
            on_poll()
            on_poll()
        ended.append(folder.name)
        return 0

    monkeypatch.setattr(module, "run_recipe", run_recipe)
    worker.work()
    worker.work()
    outcomes = worker.list_outcomes()
    assert [outcome.state for outcome in outcomes] == ["complete"] * 5 + ["pruned"] and len(ended) == 5
    assert worker.lines[-1].endswith(f"{outcomes[-1].cell}: pruned at update 5 with accuracy 0.1")


def test_process_that_died_gives_its_run_back(make_worker, tmp_path):
    worker = make_worker()
    worker._enqueue()
    dead = worker.study.ask()  # takes the first cell, and never speaks again: not even a first heartbeat
    assert dead.user_attrs["cell"]["seed"] == 0
    worker.work()
    assert {outcome.state for outcome in worker.list_outcomes()} == {"complete"}
    assert worker.study.trials[dead.number].state is TrialState.FAIL
    assert {*count_starts(tmp_path).values()} == {1}


def test_run_that_every_process_dies_of_counts_as_failed(make_worker):
    worker = make_worker(num_seeds=1)
    for _ in range(2 * MAX_LOSSES):  # there are two runs
        worker._enqueue()
        worker.study.tell(worker.study.ask(), state=TrialState.FAIL)
    worker.work()
    outcomes = worker.list_outcomes()
    assert {(each.state, each.error) for each in outcomes} == {("failed", "3 processes died while they ran it")}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ScheduleError("an invalid setting")])
def test_interrupted_run_is_given_back(make_worker, monkeypatch, error):
    worker = make_worker()
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_metrics", lambda folder: (_ for _ in ()).throw(error))
        for _ in range(MAX_LOSSES + 1):
            with pytest.raises(type(error) if isinstance(error, Exception) else error):
                worker.work()
    worker.work()
    assert {outcome.state for outcome in worker.list_outcomes()} == {"complete"}


def test_unknown_metric_stops_at_the_first_run(make_worker, tmp_path):
    worker = make_worker(metric="acuracy")
    with pytest.raises(ScheduleError, match=r"no metric 'acuracy' in the runs .* there are accuracy, loss.*'accuracy'"):
        worker.work()
    assert len(count_starts(tmp_path)) == 1


def test_run_that_diverged_fails(make_worker):
    worker = make_worker(metric="loss", loss="nan")
    worker.work()
    assert {outcome.error for outcome in worker.list_outcomes()} == {"its loss is nan: the training diverged"}


def test_time_limit_begins_no_run(make_worker):
    worker = make_worker()
    worker.work(0.0)
    assert {outcome.state for outcome in worker.list_outcomes()} == {"waiting"}


def test_process_that_was_taken_for_dead_goes_on(make_worker, monkeypatch):
    worker = make_worker(num_seeds=1)

    def sleep_through(folder):
        for trial in worker.study.get_trials(states=(TrialState.RUNNING,)):
            worker.study.tell(trial.number, state=TrialState.FAIL)  # by another process
        return read_metrics(folder)

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_metrics", sleep_through)
        worker._enqueue()
        worker._run_one()
    assert "took this one for dead" in worker.lines[-1]
    worker.work()
    assert {outcome.state for outcome in worker.list_outcomes()} == {"complete"}


def test_metrics_of_a_run(tmp_path):
    with pytest.raises(CellError, match="left no metrics"):
        read_metrics(tmp_path)
    (tmp_path / "all_results.json").write_text('{"eval_f1":', encoding="utf-8")
    with pytest.raises(CellError, match="left no metrics"):
        read_metrics(tmp_path)
    results = {"eval_f1": 0.5, "eval_runtime": 3, "train_loss": 1, "test_f1": 0.4, "baseline_f1": 0.1, "eval_text": "x"}
    (tmp_path / "all_results.json").write_text(json.dumps(results), encoding="utf-8")
    metrics = read_metrics(tmp_path)
    assert metrics == {"eval_f1": 0.5, "test_f1": 0.4, "baseline_f1": 0.1}


def test_metrics_of_a_script_that_saves_none(tmp_path, trainer_state):
    (tmp_path / "trainer_state.json").write_text(trainer_state, encoding="utf-8")
    assert read_metrics(tmp_path) == {"eval_accuracy": 0.5}
