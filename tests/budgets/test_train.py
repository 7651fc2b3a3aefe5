"""train_budgets: branches are the runs of their budgets, a search goes on where it was, and what is refused."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from hf_lrsched import LossGuard, ScheduledTrainer, ScheduleError, read_run, train_budgets
from hf_lrsched.runs.budgets import BUDGETS
from hf_lrsched.runs.checkpoints import list_checkpoints
from hf_lrsched.runs.timeline import RunView
from hf_lrsched.trainer import resume
from tests.searching import Grouped, digest, next_draws
from tests.tiny_trainer import Net


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    """Leave out the plots of resumes, which take longer than the runs."""
    monkeypatch.setattr(resume, "save_resume_plot", lambda scheduler, folder: "no plot")


@pytest.fixture
def make(make_trainer, data):
    """A Trainer with an epoch of 16 updates, an accuracy, and 32 samples to evaluate on."""

    def make(schedule="warmup(20%) >> linear()", **kwargs):
        settings = {"train": 64, "dev": data(32), "compute_metrics": accuracy, "learning_rate": 1e-2}
        return make_trainer(schedule, **settings | kwargs)

    return make


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


class Kill(TrainerCallback):
    """Ends the process' search after an update of a run whose folder has this name."""

    def __init__(self, folder, update):
        self.folder, self.update = folder, update

    def on_step_end(self, args, state, control, **kwargs):
        if args.output_dir.endswith(self.folder) and state.global_step == self.update:
            raise KeyboardInterrupt


KINDS = {
    "plain": {},
    "evaluated": {"eval_strategy": "steps", "eval_steps": 7, "logging_steps": 3},
    "evaluated at the end of epochs": {"eval_strategy": "epoch", "logging_strategy": "epoch"},
    "accumulated": {"gradient_accumulation_steps": 2, "train": 128},
}


@pytest.mark.parametrize("kind", KINDS)
def test_branch_is_the_separate_run_of_its_budget(make, kind, tmp_path):
    trainer = make(**KINDS[kind])
    before, numbers, attributes = digest(trainer.model), next_draws(), dict(vars(trainer))
    found = train_budgets(trainer, ["20", "40"])  # the longer one branches off at the end of an epoch
    assert digest(trainer.model) == before and next_draws() == numbers and vars(trainer) == attributes
    assert not trainer.state.log_history

    folder = tmp_path / "out" / "budget-40"
    schedule = "warmup(4, to=0.5) >> hold() >> one_minus_sqrt(over=8)"
    separate = make(schedule, **KINDS[kind], max_steps=40, output_dir=str(tmp_path / "separate"))
    separate.train()
    expected, kept = separate.model.state_dict(), weights(folder)
    assert all(torch.equal(kept[name], expected[name]) for name in expected)
    assert found.branches[1].metrics["eval_accuracy"] == separate.evaluate()["eval_accuracy"]
    assert [branch.updates for branch in found.branches] == [20, 40]

    run = read_run(folder)
    assert run.schedule == schedule and run.updates_done == 40
    lrs = run.lrs(range(40))
    assert next(iter(lrs.values())).tolist() == pytest.approx(separate.recorder.used, abs=1e-12)
    assert run.series("eval_accuracy")[1][-1] == found.branches[1].metrics["eval_accuracy"]
    assert {"README.md", "trainer_state.json", "training_args.bin"} <= {path.name for path in folder.iterdir()}
    assert [*list_checkpoints(tmp_path / "out" / "trunk")] == [16, 32]


def test_groups_keep_their_peaks(make, tmp_path):
    found = train_budgets(make(cls=Grouped), ["1ep", "2ep"])
    lrs = read_run(found.branches[1].folder).lrs([10, 20])
    assert {tuple(values.tolist()) for values in lrs.values()} == {(5e-3, 5e-3), (2.5e-3, 2.5e-3)}


@pytest.mark.parametrize(
    ("settings", "held"), [({}, 0.5), ({"peak": 0.7}, 0.7), ({"schedule": "warmup(4) >> hold()"}, 1.0)]
)
def test_the_lr_that_is_held(make, settings, held):
    found = train_budgets(make(), ["1ep", "2ep"], **settings)
    lrs = next(iter(read_run(found.branches[1].folder).lrs([10, 20]).values()))
    assert lrs.tolist() == pytest.approx([1e-2 * held] * 2)


@pytest.mark.parametrize(("own", "is_shared"), [("warmup(6) >> hold()", True), ("warmup(20%) >> linear()", False)])
def test_groups_with_a_schedule_of_their_own(make, tmp_path, own, is_shared, monkeypatch):
    class OwnSchedule(Grouped):
        def split(self, model, groups):
            encoder, head = super().split(model, groups)
            return [encoder, {**head, "name": "head", "schedule": own}]

    if not is_shared:
        monkeypatch.setattr(Trainer, "train", None)
        with pytest.raises(ScheduleError, match="the group 'head' has a schedule of its own"):
            train_budgets(make(cls=OwnSchedule), ["1ep", "2ep"])
        return
    found = train_budgets(make(cls=OwnSchedule), ["1ep", "2ep"])
    lrs = read_run(found.branches[0].folder).lrs(range(16))
    assert lrs["head"].tolist() == pytest.approx([5e-3 * min(update / 6, 1) for update in range(16)])


def test_record_of_a_branch_is_that_of_its_own_length(make, tmp_path, caplog):
    train_budgets(make(num_train_epochs=9), ["0.5ep", "1ep"])
    run = read_run(tmp_path / "out" / "budget-0.5ep")
    assert run.starts[-1]["settings"]["num_train_epochs"] == 0.5
    phases = [tuple(phase) for phase in RunView(run).phases]
    assert phases[1] == ("hold()", 2, 6, ("what is left: 4 updates",))
    assert "peak_not_reached" not in caplog.text  # the trunk holds half of the peak LR, as it is meant to


def test_each_run_reports_to_a_wandb_run_of_its_own(make, monkeypatch):
    """As Trainer's callback, which goes on with an open run."""
    module, logged = SimpleNamespace(run=None), []
    module.finish = lambda: setattr(module, "run", None)
    monkeypatch.setitem(sys.modules, "wandb", module)

    class Reporter(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            if module.run is None:
                module.run = []
                logged.append(module.run)
            module.run.append((Path(args.output_dir).name, state.global_step))

    train_budgets(make(callbacks=[Reporter()], logging_steps=4), ["0.5ep", "1ep"])
    assert [{name for name, _ in run} for run in logged] == [{"trunk"}, {"budget-0.5ep"}, {"budget-1ep"}]
    assert [run[-1][1] for run in logged] == [12, 8, 16]
    assert module.run is None


def test_model_init_and_seeds(make, tmp_path):
    found = train_budgets(make(model_init=Net), ["0.5ep", "1ep"], seeds=2)
    assert found.seeds == 2 and found.updates == 2 * (12 + 2 + 4)
    first, second = (weights(tmp_path / "out" / part / "budget-1ep") for part in ("", "seed-1"))
    assert not torch.equal(first["head.weight"], second["head.weight"])


@pytest.mark.parametrize(
    ("folder", "update", "kept"),
    [("trunk", 3, []), ("trunk", 20, [6, 12]), ("budget-1ep", 14, [6, 12, 32]), ("budget-2.5ep", 38, [6, 12, 32])],
)
def test_search_goes_on_where_it_was(make, tmp_path, folder, update, kept):
    budgets = ["0.5ep", "1ep", "2.5ep"]
    saving = {"save_strategy": "steps", "save_steps": 5}
    whole = train_budgets(make(output_dir=str(tmp_path / "whole"), **saving), budgets)
    with pytest.raises(KeyboardInterrupt):
        train_budgets(make(callbacks=[Kill(folder, update)], **saving), budgets)
    assert [*list_checkpoints(tmp_path / "out" / "trunk")] == kept
    trainer = make(**saving)
    steps = count_steps(trainer)
    found = train_budgets(trainer, budgets)
    for one, other in zip(whole.branches, found.branches, strict=True):
        assert one.metrics == other.metrics
        expected, got = (weights(tmp_path / part / f"budget-{one.budget}") for part in ("whole", "out"))
        assert all(torch.equal(got[name], expected[name]) for name in expected)
        runs = [read_run(tmp_path / part / f"budget-{one.budget}") for part in ("whole", "out")]
        lrs = [next(iter(run.lrs(range(one.updates)).values())).tolist() for run in runs]
        assert lrs[0] == lrs[1]
    done = {"trunk": {3: 0, 20: 12}, "budget-1ep": {14: 32 + 2}, "budget-2.5ep": {38: 32 + 2 + 4 + 3}}[folder][update]
    assert len(steps) == 46 - done
    assert train_budgets(make(**saving), budgets) == found  # nothing is left to do


def count_steps(trainer):
    """A list that gets an entry for each update of the copies of a Trainer."""
    steps = []

    class Count(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            steps.append(state.global_step)

    trainer.add_callback(Count())
    return steps


def test_more_budgets_continue_the_trunk(make, tmp_path):
    train_budgets(make(), ["1ep", "2ep"])
    trainer = make()
    steps = count_steps(trainer)
    found = train_budgets(trainer, ["1ep", "1.5ep", "2ep", "3ep"])
    # 1.5ep = 24 updates branches off at 19. The trunk has no checkpoint there, so the branch begins at the one before, 12.
    assert sorted(steps) == sorted([*range(26, 39), *range(13, 25), *range(39, 49)])
    separate = make(
        "warmup(4, to=0.5) >> hold() >> one_minus_sqrt(over=5)", max_steps=24, output_dir=str(tmp_path / "separate")
    )
    separate.train()
    expected, kept = separate.model.state_dict(), weights(tmp_path / "out" / "budget-1.5ep")
    assert all(torch.equal(kept[name], expected[name]) for name in expected)
    for folder in ("trunk", "budget-1.5ep", "budget-3ep"):
        run = read_run(tmp_path / "out" / folder)
        assert all(np.isfinite(next(iter(run.lrs(range(run.updates_done)).values()))))
    assert [branch.budget for branch in found.branches] == ["1ep", "2ep", "1.5ep", "3ep"]
    assert [point.budget for point in found.points] == ["1ep", "1.5ep", "2ep", "3ep"]


def test_other_settings_in_the_same_folder_are_refused(make):
    train_budgets(make(), ["1ep"])
    with pytest.raises(
        ScheduleError, match=r"holds a search with learning_rate=0.01, and this one has 0.1. Choose another"
    ):
        train_budgets(make(learning_rate=0.1), ["1ep"])
    with pytest.raises(ScheduleError, match="holds a search with cooldown='20%', and this one has '10%'"):
        train_budgets(make(), ["1ep"], cooldown="10%")
    with pytest.raises(
        ScheduleError,
        match=r"with schedule='warmup\(4, .* It follows from peak= and from the warmup, whose % are of the smallest budget",
    ):
        train_budgets(make(), ["2ep"])


def test_lr_is_searched_once_for_the_longest_budget(make, tmp_path):
    class Found(ScheduledTrainer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs, find_lr={"budget": 0.5})

    found = train_budgets(make(cls=Found), ["1ep", "3ep"])
    assert found.learning_rate != 1e-2 and 0 < found.search_updates <= 24
    assert f"{found.search_updates} for the LR included" in str(found)
    for branch in found.branches:
        run = read_run(branch.folder)
        assert run.lr_search["total"] == 48
        assert max(next(iter(run.lrs(range(branch.updates)).values()))) == found.learning_rate
    again = make(cls=Found)
    again.train = None  # nothing is searched or trained again
    assert train_budgets(again, ["1ep", "3ep"]) == found
    shutil.rmtree(tmp_path / "out" / "budget-3ep")
    (tmp_path / "out" / BUDGETS).write_text(
        (tmp_path / "out" / BUDGETS).read_text().replace('"3ep"', '"4ep"').replace('"updates": 48', '"updates": 64')
    )
    shutil.rmtree(tmp_path / "out" / "trunk")  # a branch has the LR, too
    third = train_budgets(make(cls=Found), ["1ep", "3ep"])
    assert third.learning_rate == found.learning_rate and third.search_updates == found.search_updates


def test_metric_and_start(make, tmp_path):
    trainer = make(metric_for_best_model="eval_loss", greater_is_better=False)
    found = train_budgets(trainer, ["0.5ep", "1ep"])
    assert (found.metric, found.direction) == ("eval_loss", "min")
    assert found.start["eval_loss"] == pytest.approx(trainer.evaluate()["eval_loss"])
    assert train_budgets(make(), ["0.5ep", "1ep"]).metric == "eval_accuracy"
    assert train_budgets(make(), ["0.5ep", "1ep"], metric="loss").direction == "min"
    assert '"metric": "eval_loss"' in (tmp_path / "out" / BUDGETS).read_text()


def test_branch_is_given_before_it_counts_as_done(make, tmp_path):
    seen = []

    def on_branch(run, branch):
        seen.append((branch.budget, run.state.global_step, run.args.output_dir))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_budgets(make(), ["0.5ep"], on_branch=on_branch)
    assert seen == [("0.5ep", 8, str(tmp_path / "out" / "budget-0.5ep"))]
    assert len(train_budgets(make(), ["0.5ep"]).branches) == 1


class Stream(IterableDataset):
    """Samples without a length."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


def test_stream(make, data):
    found = train_budgets(make(train=Stream(data(64)), max_steps=40), [16, 40])
    assert [branch.updates for branch in found.branches] == [16, 40]


def test_stream_that_ends(make, data, tmp_path):
    stream = Stream(data(64))
    stream.rows = iter(stream.rows)
    with pytest.raises(ScheduleError, match=r"ended after 16 of 32 updates: .* so its data may have ended. Leave out"):
        train_budgets(make(train=stream, max_steps=40), [10, 40])
    assert [*list_checkpoints(tmp_path / "out" / "trunk")] == [8]


def test_callback_that_ends_the_trunk(make):
    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop |= state.global_step == 7

    with pytest.raises(ScheduleError, match=r"ended after 7 of 12 updates: its data ended, or a callback stopped it"):
        train_budgets(make(callbacks=[Stop()]), ["0.5ep", "1ep"])


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ({}, {"budgets": []}, "budgets is empty"),
        ({}, {"seeds": 0}, "seeds must be a whole number"),
        ({}, {"metric": 5}, "metric must be the name of a metric, such as 'accuracy', got 5"),
        (
            {},
            {"metric": "acuracy"},
            "no metric 'acuracy' in an evaluation; there are loss, accuracy. Did you mean 'accuracy'",
        ),
        (
            {"compute_metrics": lambda _: {"entropy": 0.5}},
            {"metric": "entropy"},
            "the name entropy does not say whether more or less",
        ),
        ({"cls": Trainer, "schedule": None}, {}, r"Use ScheduledTrainer\(...\), or scheduled\(Trainer\)"),
        ({"callbacks": [LossGuard()]}, {}, "LossGuard may end or change a run"),
        (
            {"callbacks": [EarlyStoppingCallback(2)], "metric_for_best_model": "loss"},
            {},
            "EarlyStoppingCallback may end",
        ),
        ({"auto_find_batch_size": True}, {}, "auto_find_batch_size may change the number of updates in an epoch"),
        ({"optim": "galore_adamw_layerwise"}, {}, r"train_budgets\(\) cannot make a new optimizer for each run"),
    ],
)
def test_refused_before_the_first_update(make, settings, arguments, message, monkeypatch, tmp_path):
    optim = settings.get("optim")
    trainer = make(**{name: value for name, value in settings.items() if name != "optim"})
    trainer.args.optim = optim or trainer.args.optim
    monkeypatch.setattr(Trainer, "train", None)
    with pytest.raises(ScheduleError, match=message):
        train_budgets(trainer, **{"budgets": ["1ep"]} | arguments)
    assert not (tmp_path / "out" / "trunk").exists()


@pytest.mark.parametrize("clock", ["tokens(1000)", "time(30min)"])
def test_clocks_that_do_not_count_updates(make, clock):
    from hf_lrsched.trajectory.clocks import as_clock

    trainer = make()
    trainer.clock = as_clock(clock)
    with pytest.raises(ScheduleError, match="each budget branches off at an update that must be known before"):
        train_budgets(trainer, ["1ep"])


def test_scheduler_of_the_user(make, grouped):
    model, optimizer = grouped(1e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    with pytest.raises(ScheduleError, match="two schedules"):
        make(model=model, optimizers=(optimizer, scheduler))
    trainer = make(None, model=model, optimizers=(optimizer, scheduler))
    with pytest.raises(ScheduleError, match="changes the schedule of its runs, and a ScheduledTrainer has none"):
        train_budgets(trainer, ["1ep"])


def test_no_evaluation_set(make):
    trainer = make()
    trainer.eval_dataset = None
    with pytest.raises(ScheduleError, match="there is no eval_dataset"):
        train_budgets(trainer, ["1ep"])


def test_a_held_lr_that_is_searched_has_no_factor(make):
    class Found(ScheduledTrainer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs, find_lr=True)

    with pytest.raises(ScheduleError, match="has no meaning with find_lr, which searches the LR to hold"):
        train_budgets(make(cls=Found), ["1ep"], peak=0.7)


def test_a_model_without_a_config_and_an_optimizer_that_is_not_returned(make, capsys):
    class Own(ScheduledTrainer):
        def create_optimizer(self, *args):
            if self.optimizer is None:
                self.optimizer = torch.optim.SGD(self.model.parameters(), lr=self.args.learning_rate)

    def make_bare():
        trainer = make(cls=Own)
        del trainer.model.config
        return trainer

    found = train_budgets(make_bare(), ["1ep", "2ep"])
    assert [branch.budget for branch in found.branches] == ["1ep", "2ep"]
    assert "no model card in " in capsys.readouterr().out
