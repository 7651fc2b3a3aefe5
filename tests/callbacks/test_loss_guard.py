"""LossGuard in Trainer: poisoned batches, jumps of the loss, and healthy runs."""

import json
import math
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import Trainer, TrainerCallback

from hf_lrsched import LossGuard, ScheduledTrainer, ScheduleError, get_scheduler, read_run
from tests.processes import launched
from tests.tiny_trainer import GivenLosses, Net

PEAK = 1e-3


class Trouble(TrainerCallback):
    """Makes the inputs of some updates NaN, or does something else; remembers all inputs and what there is after updates."""

    def __init__(self, poisoned=(), overflows=(), gradients=(), after=None):
        self.poisoned, self.overflows, self.gradients = set(poisoned), set(overflows), dict(gradients)
        self.what, self.batches = after or {}, []

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.state, self.batches = state, []
        model.register_forward_pre_hook(self._before_forward, with_kwargs=True)
        model.encoder.weight.register_hook(self._of_encoder)

    def _before_forward(self, model, args, kwargs):
        if not model.training:
            return None
        self.batches.append((kwargs.get("x"), kwargs["labels"]))
        if self.state.global_step + 1 in self.poisoned:
            return args, {**kwargs, "x": kwargs["x"] * float("nan")}
        return None

    def _of_encoder(self, gradient):
        return torch.full_like(gradient, torch.inf) if self.state.global_step + 1 in self.overflows else gradient

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if state.global_step + 1 in self.gradients:  # after Trainer has clipped them
            model.encoder.weight.grad[0, 0] = self.gradients[state.global_step + 1]

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        if state.global_step in self.what:
            self.what[state.global_step](model)


class After(TrainerCallback):
    """Weights and optimizer as they are after each update; it stands behind the guard."""

    def __init__(self):
        self.weights, self.optimizer = {}, {}

    def on_step_end(self, args, state, control, model=None, optimizer=None, **kwargs):
        self.weights[state.global_step] = {name: w.clone() for name, w in model.state_dict().items()}
        states = optimizer.state_dict()["state"]
        self.optimizer[state.global_step] = {i: {k: v.clone() for k, v in each.items()} for i, each in states.items()}


class Normed(Net):
    """A forward pass on NaN leaves NaN in its buffers."""

    def __init__(self):
        super().__init__(dropout=0.0)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x, labels=None):
        return super().forward(self.norm(x), labels)


class OnDevice(LossGuard):
    """Acts on the CPU as on a device, for which it must not wait."""

    def on_train_begin(self, *args, **kwargs):
        super().on_train_begin(*args, **kwargs)
        self._gradients.reads_gradients = False


@pytest.fixture
def run(make_trainer, net):
    """24 updates, saved after every second one. Trouble comes before the guard, which is last but one."""

    def make(
        guard, trouble, cls=ScheduledTrainer, schedule="hold()", optimizer=None, resume=None, model=None, **kwargs
    ):
        model = net(dropout=0.0) if model is None else model
        settings = {"num_train_epochs": 4, "save_strategy": "steps", "save_steps": 2, "logging_steps": 1}
        after = After()
        optimizers = (optimizer(model.parameters()) if optimizer else None, None)
        callbacks = [trouble, *([guard] if guard else []), after]
        trainer = make_trainer(
            schedule, cls=cls, model=model, callbacks=callbacks, optimizers=optimizers, **settings | kwargs
        )
        trainer.train(resume_from_checkpoint=resume)
        trainer.after = after
        return trainer

    return make


def scales(trainer):
    return [lr / PEAK for lr in trainer.recorder.used]


def events(trainer):
    return [(event["t"], event["kind"], event["cause"]) for event in trainer.lr_scheduler.events]


def same(found, expected):
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def by_hand(net, batches, without, clip=1.0):
    """Gradient descent on these batches, written out."""
    model = net(dropout=0.0)
    for update, (x, labels) in enumerate(batches, 1):
        if update in without:
            continue
        model.zero_grad()
        model(x, labels)["loss"].backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= PEAK * gradient * min(1.0, clip / norm)
    return model.state_dict()


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=PEAK)


def test_the_stock_trainer_is_ruined_by_nan(run):
    trainer = run(None, Trouble(poisoned=[9]), cls=Trainer)
    assert all(weight.isnan().all() for weight in trainer.model.parameters())


def test_stop(run, tmp_path, capsys):
    guard, trouble = LossGuard(), Trouble(poisoned=[9])
    trainer = run(guard, trouble)
    assert trainer.state.global_step == 9
    saved = load_file(tmp_path / "out" / "checkpoint-9" / "model.safetensors")
    same(saved, trainer.after.weights[8])
    same(trainer.after.weights[9], trainer.after.weights[8])
    message = (
        "guard: the gradients of update 9 were not finite and were dropped; a checkpoint is saved and the run ends"
    )
    assert f"[hf_lrsched] update 9: {message}\n" in capsys.readouterr().out
    (event,) = (event for event in read_run(tmp_path / "out").events if event["kind"] == "guard")
    assert (event["step"], event["cause"]) == (9, message)
    assert trainer.lr_scheduler.events == []


class Ruin(TrainerCallback):
    """Makes the weights NaN in update 3, and asks for a checkpoint after each update and each epoch."""

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == 2:
            with torch.no_grad():
                next(model.parameters()).fill_(torch.nan)

    def on_step_end(self, args, state, control, **kwargs):
        control.should_save = state.global_step >= 3

    on_epoch_end = on_step_end


@pytest.mark.parametrize("cls", [ScheduledTrainer, Trainer])
def test_ruined_weights_are_not_saved_whoever_asks(run, cls):
    trainer = run(LossGuard(), Ruin(), cls=cls, save_strategy="no")
    assert trainer.state.global_step == 3
    assert [*Path(trainer.args.output_dir).glob("checkpoint-*")] == []


def test_stop_with_the_stock_trainer_and_its_scheduler(run):
    trainer = run(LossGuard("stop"), Trouble(poisoned=[9]), cls=Trainer, save_strategy="no")
    assert trainer.state.global_step == 9
    assert Path(trainer.args.output_dir, "checkpoint-9", "model.safetensors").exists()


def test_lower(run, tmp_path, capsys):
    trainer = run(LossGuard("lower", factor=0.25), Trouble(poisoned=[5, 20]), save_strategy="no")
    assert scales(trainer) == [1.0] * 5 + [0.25] * 15 + [0.0625] * 4
    cause = "guard: the gradients of update {} were not finite and were dropped"
    assert events(trainer) == [(5, "scale", cause.format(5)), (20, "scale", cause.format(20))]
    causes = [event["cause"] for event in read_run(tmp_path / "out").events if event["kind"] == "scale"]
    assert causes == [cause.format(5), cause.format(20)]
    printed = "[hf_lrsched] update 5: " + cause.format(5) + ": the LR goes from 0.001 to 0.00025 (scale 1 to 0.25)\n"
    assert printed in capsys.readouterr().out
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


def test_lower_with_the_stock_trainer(run, make_trainer, net):
    model = net()
    optimizer = sgd(model.parameters())
    scheduler = get_scheduler("linear()", optimizer, num_training_steps=6)
    callbacks = [Trouble(poisoned=[3]), LossGuard("lower")]
    trainer = make_trainer(cls=Trainer, model=model, optimizers=(optimizer, scheduler), callbacks=callbacks)
    trainer.train()
    assert scales(trainer) == pytest.approx([6 / 6, 5 / 6, 4 / 6, 3 / 12, 2 / 12, 1 / 12], rel=1e-12)


@pytest.mark.parametrize("clip", [1.0, 0.01, 0.0])
@pytest.mark.parametrize("guard", [LossGuard, OnDevice])
def test_a_dropped_update_has_no_effect(run, net, guard, clip):
    trouble = Trouble(poisoned=[9, 10])
    trainer = run(guard("lower", factor=0.9999999, patience=9), trouble, optimizer=sgd, max_grad_norm=clip)
    assert events(trainer) == []  # two are tolerated
    expected = by_hand(net, trouble.batches, without=(9, 10), clip=clip or float("inf"))
    for name, weight in trainer.model.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("guard", [LossGuard, OnDevice])
def test_one_gradient_in_one_matrix(run, guard, value):
    # 4.57 clips nothing with 0, so that it stays the only one
    trouble = Trouble(gradients={9: value})
    trainer = run(guard("stop"), trouble, max_grad_norm=0.0, optimizer=sgd)
    same(trainer.after.weights[9], trainer.after.weights[8])
    assert trainer.state.global_step == 9  # each update has its record, for which Trainer waits


def test_infinity_that_clipping_spreads(run):
    trainer = run(LossGuard("stop"), Trouble(overflows=[9]))  # some gradients become NaN, all others 0
    assert trainer.state.global_step == 9
    same(trainer.after.weights[9], trainer.after.weights[8])


def test_adamw_has_no_trace_of_a_dropped_update(run):
    trainer = run(LossGuard("lower", patience=5), Trouble(poisoned=[9]))
    for before, after in zip(trainer.after.optimizer[8].values(), trainer.after.optimizer[9].values(), strict=True):
        same(after, before)
    same(trainer.after.weights[9], trainer.after.weights[8])
    assert trainer.after.optimizer[24][0]["step"] == 23


def adamw(fused):
    return lambda parameters: torch.optim.AdamW(parameters, lr=PEAK, fused=fused)


def test_on_a_device_a_fused_optimizer_leaves_the_step_out(run):
    trainer = run(
        OnDevice("lower"), Trouble(poisoned=[9]), optimizer=adamw(fused=True), save_strategy="no", logging_steps=50
    )
    same(trainer.after.weights[9], trainer.after.weights[8])
    for before, after in zip(trainer.after.optimizer[8].values(), trainer.after.optimizer[9].values(), strict=True):
        same(after, before)
    assert [event[0] for event in events(trainer)] == [9]
    assert not hasattr(trainer.optimizer.optimizer, "found_inf")


def test_on_a_device_another_optimizer_takes_a_gradient_of_zero(run):
    trainer = run(
        OnDevice("lower"), Trouble(poisoned=[9]), optimizer=adamw(fused=False), save_strategy="no", logging_steps=50
    )
    before, after = trainer.after.optimizer[8][0], trainer.after.optimizer[9][0]
    torch.testing.assert_close(after["exp_avg"], 0.9 * before["exp_avg"])
    torch.testing.assert_close(after["exp_avg_sq"], 0.999 * before["exp_avg_sq"])
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


def test_on_a_device_trouble_at_the_end_is_not_missed(run):
    trainer = run(OnDevice("lower"), Trouble(poisoned=[24]), save_strategy="no", logging_steps=50)
    assert [event[0] for event in events(trainer)] == [24]


@pytest.mark.parametrize("guard", [LossGuard, OnDevice])
def test_patience_counts_updates_in_a_row(run, guard, capsys):
    trainer = run(guard("lower", patience=1), Trouble(poisoned=[3, 5, 7, 8]), save_strategy="no")
    ((_, _, cause),) = events(trainer)
    assert cause == "guard: the gradients of updates 7 to 8 were not finite and were dropped"
    tolerated = [
        line for line in capsys.readouterr().out.splitlines() if line.endswith("were not finite and were dropped")
    ]
    assert [line.split("guard: ")[1].split(" were")[0] for line in tolerated] == [
        f"the gradients of update {update}" for update in (3, 5, 7)
    ]


# --- rollback ----------------------------------------------------------------------------------------------------------


def optimizer_of(folder):
    return torch.load(Path(folder, "optimizer.pt"), weights_only=True)["state"]


def test_rollback(run, tmp_path):
    trainer = run(LossGuard("rollback"), Trouble(poisoned=[19]), schedule="linear()")
    checkpoint = tmp_path / "out" / "checkpoint-8"  # the newest that is more than 10 updates older
    same(trainer.after.weights[19], load_file(checkpoint / "model.safetensors"))
    expected = optimizer_of(checkpoint)
    assert trainer.after.optimizer[19].keys() == expected.keys()
    for index, state in expected.items():
        same(trainer.after.optimizer[19][index], state)
    cause = "guard: the gradients of update 19 were not finite and were dropped; back to checkpoint-8"
    assert events(trainer) == [(19, "scale", cause)]
    # updates and the schedule count on
    factors = [1 - t / 24 for t in range(24)]
    assert scales(trainer) == pytest.approx([*factors[:19], *[0.8 * f for f in factors[19:]]], rel=1e-12)
    assert trainer.state.global_step == 24
    assert len(trainer.recorder.used) == 24


def test_rollback_saves_a_checkpoint_for_a_resume(run, tmp_path):
    trainer = run(LossGuard("rollback"), Trouble(poisoned=[19]))
    saved = tmp_path / "out" / "checkpoint-19"
    same(load_file(saved / "model.safetensors"), trainer.after.weights[8])
    assert torch.load(saved / "scheduler.pt", weights_only=True)["scale"] == 0.8


@pytest.mark.parametrize("save_steps", [2, 500])  # there are some of the last 10 updates; there is none
@pytest.mark.parametrize("guard", [LossGuard, OnDevice])
def test_finite_weights_stay_if_no_checkpoint_is_usable(run, guard, save_steps):
    trainer = run(guard("rollback"), Trouble(poisoned=[9]), save_steps=save_steps)
    same(trainer.after.weights[9], trainer.after.weights[8])
    assert [lr / PEAK for lr in (trainer.recorder.used[0], trainer.recorder.used[-1])] == pytest.approx([1.0, 0.8])
    cause = (
        "guard: the gradients of update 9 were not finite and were dropped; no usable checkpoint, but the current "
        "weights are finite: training continues from them"
    )
    assert events(trainer) == [(9, "scale", cause)]


@pytest.mark.parametrize(
    ("save_steps", "back_to"), [(2, "checkpoint-2"), (3, "checkpoint-3"), (500, "the start, update 0")]
)
def test_nan_in_buffers_is_rolled_back_no_farther_than_it_must(run, save_steps, back_to):
    torch.manual_seed(0)
    model = Normed()
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    trainer = run(LossGuard("rollback"), Trouble(poisoned=[7]), model=model, save_steps=save_steps)
    same(trainer.after.weights[7], trainer.after.weights[save_steps] if save_steps < 500 else start)
    assert events(trainer)[0][2].endswith(f"were dropped; back to {back_to}")


@pytest.mark.parametrize("guard", [LossGuard, OnDevice])
def test_patience_ends_at_nan_in_buffers(run, guard, capsys):
    trainer = run(guard("rollback", patience=1, margin=2), Trouble(poisoned=[9]), model=Normed())
    cause = (
        "guard: the gradients of update 9 were not finite and were dropped, but buffers or weights hold NaN or infinity; "
        "back to checkpoint-6"
    )
    assert events(trainer) == [(9, "scale", cause)]
    same(trainer.after.weights[9], trainer.after.weights[6])


def test_infinite_buffers_are_allowed(run):
    model = Normed()
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    model.norm.track_running_stats = False
    trainer = run(LossGuard("rollback", patience=1), Trouble(poisoned=[5, 9, 10]), model=model, save_steps=500)
    ((t, _, cause),) = events(trainer)
    assert t == 10
    assert cause.endswith("training continues from them")


@pytest.mark.parametrize("harm", ["not finite", "corrupted", "gone"])
def test_an_unusable_checkpoint_is_skipped(run, tmp_path, harm, caplog):
    def spoil(model):
        folder = tmp_path / "out" / "checkpoint-8"
        if harm == "not finite":
            weights = torch.load(folder / "guard.pt", weights_only=True)
            weights["head.bias"][1] = float("nan")
            torch.save(weights, folder / "guard.pt")
        elif harm == "corrupted":
            (folder / "optimizer.pt").write_bytes((folder / "optimizer.pt").read_bytes()[:-200])
        else:
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    trainer = run(LossGuard("rollback"), Trouble(poisoned=[19], after={18: spoil}))
    same(trainer.after.weights[19], trainer.after.weights[6])
    reason = {
        "not finite": "it holds NaN or infinity",
        "corrupted": "optimizer.pt is corrupted",
        "gone": "there is no such folder",
    }
    assert f"checkpoint-8: {reason[harm]}" in caplog.text


def test_checkpoints_of_an_earlier_run_are_not_used(run, tmp_path, net):
    run(None, Trouble(), save_steps=1)
    torch.manual_seed(0)
    model = Normed()
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    trainer = run(LossGuard("rollback"), Trouble(poisoned=[7]), model=model, save_steps=100)
    assert (tmp_path / "out" / "checkpoint-3").exists()
    same(trainer.after.weights[7], start)


def test_the_number_of_actions_is_bounded(run, tmp_path, capsys):
    guard = LossGuard("lower", max_actions=2)
    trainer = run(guard, Trouble(poisoned=[3, 5, 7]))
    assert [event[0] for event in events(trainer)] == [3, 5]
    assert trainer.state.global_step == 7
    assert "max_actions=2 is reached; a checkpoint is saved and the run ends" in capsys.readouterr().out
    saved = load_file(tmp_path / "out" / "checkpoint-7" / "model.safetensors")
    assert all(weight.isfinite().all() for weight in saved.values())


@pytest.mark.parametrize("actions", [2, 20])  # of which a checkpoint has all events, and the latest 16
def test_the_number_of_actions_is_bounded_over_a_resume(run, tmp_path, actions):
    guard = LossGuard("lower", max_actions=actions)
    run(guard, Trouble(poisoned=range(1, actions + 1)))
    again = run(guard, Trouble(poisoned=[23]), resume=str(tmp_path / "out" / "checkpoint-22"))
    assert again.state.global_step == 23
    assert again.lr_scheduler.run_state.scale == 0.5**actions


def test_actions_and_reports_are_in_events(run):
    guard = LossGuard("rollback", patience=1, margin=2)
    trainer = run(guard, Trouble(poisoned=[3, 11, 12]))
    tolerated, first_of_two, action = guard.events
    cause = "guard: the gradients of update 3 were not finite and were dropped"
    assert tolerated == {"kind": "guard", "t": 3, "cause": cause}
    assert (first_of_two["kind"], first_of_two["t"]) == ("guard", 11)
    assert action == trainer.lr_scheduler.events[0]
    assert (action["kind"], action["t"]) == ("scale", 12)
    run(guard, Trouble())
    assert guard.events == []


def test_a_stop_of_the_stock_trainer_is_in_events(run):
    guard = LossGuard()
    run(guard, Trouble(poisoned=[9]), cls=Trainer)
    assert [(event["kind"], event["t"]) for event in guard.events] == [("guard", 9)]
    assert guard.events[0]["cause"].endswith("a checkpoint is saved and the run ends")


def test_a_resumed_run_goes_back_to_where_it_was_resumed(run, tmp_path):
    run(None, Trouble())
    again = run(LossGuard("rollback", margin=2), Trouble(poisoned=[11]), resume=str(tmp_path / "out" / "checkpoint-8"))
    same(again.after.weights[11], load_file(tmp_path / "out" / "checkpoint-8" / "model.safetensors"))
    assert events(again)[0][2].endswith("back to the start, update 8")


def test_the_last_rollback_still_goes_back(run, tmp_path):
    trainer = run(LossGuard("rollback", max_actions=1, margin=0), Trouble(poisoned=[5, 9]))
    assert trainer.state.global_step == 9
    same(load_file(tmp_path / "out" / "checkpoint-9" / "model.safetensors"), trainer.after.weights[8])


# --- spikes of the loss -----------------------------------------------------------------------------------------------


def worsen(model):
    with torch.no_grad():
        model.head.weight *= -20


FIT = {"learning_rate": 0.02, "num_train_epochs": 20, "weight_decay": 0.0}  # 120 updates


@pytest.mark.parametrize("guard", [LossGuard, OnDevice])
def test_a_jump_that_stays(run, guard):
    trainer = run(guard("rollback"), Trouble(after={80: worsen}), save_steps=20, **FIT)
    ((t, kind, cause),) = events(trainer)
    assert kind == "scale"
    assert 84 <= t <= 100
    assert "the loss rose from" in cause
    assert "at update 81 and stayed there" in cause
    assert cause.endswith("back to checkpoint-60")
    same(trainer.after.weights[t], trainer.after.weights[60])


@pytest.mark.parametrize(
    ("save_steps", "back_to"),
    [
        (75, 75),  # within the margin, but its weights gave no high loss
        (80, 0),  # it has the jump in it
    ],
)
def test_a_jump_is_rolled_back_no_farther_than_it_must(run, save_steps, back_to):
    model = Net(dropout=0.0)
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    trainer = run(LossGuard("rollback"), Trouble(after={80: worsen}), model=model, save_steps=save_steps, **FIT)
    ((t, _, cause),) = events(trainer)
    assert cause.endswith("back to checkpoint-75" if back_to else "back to the start, update 0")
    same(trainer.after.weights[t], trainer.after.weights[75] if back_to else start)


def test_save_total_limit_has_removed_the_good_checkpoint(run, caplog):
    trainer = run(LossGuard("rollback"), Trouble(after={80: worsen}), save_steps=13, save_total_limit=1, **FIT)
    assert "save_total_limit=1" in caplog.text
    assert (
        "checkpoint-78 is used, although it is nearer" in caplog.text
    )  # the start is kept for the first 63 updates alone
    ((t, _, cause),) = events(trainer)
    assert cause.endswith("back to checkpoint-78")
    same(trainer.after.weights[t], trainer.after.weights[78])


class RenamingTrainer(ScheduledTrainer):
    """Saves the weights under other names than the model's, as transformers does for some models."""

    def _save(self, output_dir=None, state_dict=None):
        state = self.model.state_dict()
        super()._save(output_dir, {name.replace("encoder", "enc"): weight for name, weight in state.items()})


def test_checkpoints_with_other_names_than_the_model(run):
    """As transformers 5 saves models with experts, or images and text: the guard has a file of its own."""
    trainer = run(LossGuard("rollback"), Trouble(after={80: worsen}), cls=RenamingTrainer, save_steps=20, **FIT)
    ((t, _, cause),) = events(trainer)
    assert cause.endswith("back to checkpoint-60")
    same(trainer.after.weights[t], trainer.after.weights[60])


@pytest.mark.parametrize(
    ("cls", "action"),
    [(ScheduledTrainer, "lower"), (Trainer, "stop")],  # from the scheduler's state, or from the first records
)
def test_a_resumed_run_knows_where_it_started(make_trainer, tmp_path, cls, action):
    draw = random.Random(0)
    losses = [0.4 + 0.7 * math.exp(-update / 20) + draw.gauss(0, 0.1) for update in range(150)]
    losses += [1.1 + draw.gauss(0, 0.1) for _ in range(50)]  # below ten deviations above the level

    def train(from_update):
        guard = LossGuard(action)
        settings = {"save_strategy": "steps", "save_steps": 80, "max_steps": 200, "logging_steps": 1}
        model = GivenLosses(losses[from_update:])
        trainer = make_trainer("hold()", cls=cls, model=model, callbacks=[guard], **settings)
        trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-80") if from_update else None)
        return [(event["kind"], event["t"]) for event in guard.events]

    never_stopped = train(0)
    assert len(never_stopped) == 1
    assert train(80) == never_stopped


def test_the_start_by_records_of_many_updates(run, tmp_path):
    run(None, Trouble(), cls=Trainer, save_steps=60, logging_steps=20, **FIT)
    guard = LossGuard()
    again = run(guard, Trouble(), cls=Trainer, resume=str(tmp_path / "out" / "checkpoint-60"), logging_steps=20, **FIT)
    assert guard._detector.start == again.state.log_history[0]["loss"]


class Logits(Net):
    """A model whose loss is computed elsewhere."""

    def forward(self, x, labels=None):
        return {"logits": self.head(torch.tanh(self.encoder(x)))}


class WithLoss(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        outputs = model(inputs["x"], labels=inputs["labels"])
        loss = nn.functional.cross_entropy(outputs["logits"], inputs["labels"])
        return (loss, outputs) if return_outputs else loss


@pytest.mark.parametrize("logging_steps", [1, 3])
def test_a_jump_of_a_loss_that_the_model_does_not_compute(make_trainer, logging_steps):
    torch.manual_seed(0)
    callbacks = [Trouble(after={90: worsen}), guard := LossGuard("stop")]
    settings = {**FIT, "num_train_epochs": 25, "logging_steps": logging_steps}
    settings |= {"lr_scheduler_type": "constant"}
    make_trainer(cls=WithLoss, model=Logits(), callbacks=callbacks, **settings).train()
    (event,) = guard.events
    assert 90 + 4 * logging_steps <= event["t"] <= 90 + 20 * logging_steps
    assert "at update 91 and stayed there" in event["cause"]


def test_a_healthy_run_is_left_alone(run):
    bare = run(None, Trouble(), save_steps=50, **FIT)
    trainer = run(LossGuard("rollback"), Trouble(), save_steps=50, **FIT)
    assert events(trainer) == []
    same(trainer.model.state_dict(), bare.model.state_dict())
    assert trainer.state.log_history[-2]["loss"] == bare.state.log_history[-2]["loss"]
    assert trainer.model._forward_hooks == {}


def test_a_stop_does_not_save_weights_that_are_not_finite(run, tmp_path, capsys):
    def ruin(model):
        with torch.no_grad():
            model.head.bias[0] = float("inf")

    trainer = run(LossGuard("lower"), Trouble(after={7: ruin}))
    assert trainer.state.global_step == 8
    assert not (tmp_path / "out" / "checkpoint-8").exists()
    assert "the weights are not finite, so nothing is saved and the run ends" in capsys.readouterr().out


# --- fp16's loss scaling ----------------------------------------------------------------------------------------------


@pytest.fixture
def scaled(make_trainer):
    """A run with a real loss scaler, on the CPU, whose gradients overflow at some updates."""

    def make(guard, overflows):
        trainer = make_trainer("hold()", callbacks=[Trouble(overflows=overflows), guard], num_train_epochs=5)
        trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        trainer.train()
        assert trainer.optimizer.scaler is trainer.accelerator.scaler
        return trainer

    return make


def test_skips_of_the_scaler_are_tolerated(scaled):
    trainer = scaled(LossGuard("stop"), {*range(1, 17), *range(18, 30)})  # 16 in a row, and 12
    assert trainer.state.global_step == 30
    assert trainer.accelerator.scaler.get_scale() == 4.0 / 2**28  # each of them was skipped


def test_skipped_steps_that_never_end(scaled, capsys):
    trainer = scaled(LossGuard("lower"), range(2, 99))
    cause = "guard: the gradients of updates 2 to 22 were not finite and were dropped"
    assert [event["cause"] for event in trainer.lr_scheduler.events] == [cause]
    assert f"update 22: {cause}: the LR goes" in capsys.readouterr().out


# --- invalid arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"action": "rolback"},
            r"action must be one of stop, lower, rollback, got 'rolback'. Did you mean 'rollback'\?",
        ),
        ({"action": None}, "action must be one of"),
        ({"action": ["stop"]}, r"action must be one of stop, lower, rollback, got \['stop'\]"),
        ({"factor": 0}, "factor must be a number above 0 and at most 1, got 0"),
        ({"factor": float("nan")}, "factor must be"),
        ({"factor": True}, "factor must be"),
        ({"factor": "0.5"}, "factor must be"),
        ({"action": "lower", "factor": 1.0}, "factor must be a number above 0 and below 1"),
        ({"max_actions": 0}, "max_actions must be a whole number of at least 1, got 0"),
        ({"max_actions": 1.5}, "max_actions must be"),
        ({"patience": -1}, "patience must be a whole number of at least 0"),
        ({"margin": -1}, "margin must be a whole number of at least 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ScheduleError, match=message):
        LossGuard(**arguments)


# --- several processes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_act_together(tmp_path):
    folders = {action: str(tmp_path / action) for action in ("rollback", "lower")}
    ranks = launched(Path(__file__).parents[1] / "end_to_end" / "guard_run.py", folders, processes=2)
    assert isinstance(ranks, list), ranks
    assert ranks[0] == ranks[1]  # weights and events
    for action, (_, events) in ranks[0].items():
        poisoned, jump = events
        assert poisoned[0] == 25
        assert poisoned[1].startswith("guard: the gradients of update 25 were not finite")
        assert jump[0] % 10 == 0  # they agree every ten updates
        assert "at update 91 and stayed there" in jump[1]
        if action == "rollback":
            assert poisoned[1].endswith("back to checkpoint-10")
            assert jump[1].endswith("back to checkpoint-80")
        state = json.loads(Path(folders[action], "checkpoint-140", "trainer_state.json").read_text())
        assert state["global_step"] == 140
