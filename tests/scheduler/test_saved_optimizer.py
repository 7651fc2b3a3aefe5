"""A resume knows whose moments, options and LRs a checkpoint holds, before torch loads them by position."""

import io
from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers import Trainer

from hf_lrsched import ScheduleCallback, ScheduledTrainer, ScheduleError, get_scheduler, regex_groups

LR = 0.1
RULES = {
    "first": {"pattern": r"^0\.", "lr": 0.1},
    "second": {"pattern": r"^1\.", "lr": 0.01, "schedule": "freeze(3) * linear()"},
    "third": {"pattern": r"^2\.", "lr": 0.001},
}


def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))


def through_a_file(data):
    buffer = io.BytesIO()
    torch.save(data, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


class Loop:
    """A training loop of one's own, whose weights do not change, so that runs differ in their optimizers only."""

    def __init__(self, groups=None, cls=torch.optim.AdamW, on_resume="strict", schedule="linear()", **options):
        self.model = make_model()
        groups = (
            [{"params": [*self.model.parameters()]}]
            if groups is None
            else groups(self.model)
            if callable(groups)
            else groups
        )
        self.optimizer = cls(groups, lr=LR, **options)
        self.scheduler = get_scheduler(schedule, self.optimizer, num_training_steps=10, on_resume=on_resume)

    def train(self, updates):
        for _ in range(updates):
            for index, parameter in enumerate(self.model.parameters(), 1):
                parameter.grad = torch.full_like(parameter, float(index))
            self.optimizer.step()
            self.scheduler.step()
        return self

    def save(self):
        return through_a_file([self.model.state_dict(), self.optimizer.state_dict(), self.scheduler.state_dict()])

    def load(self, saved):
        for each, state in zip((self.model, self.optimizer, self.scheduler), saved, strict=True):
            each.load_state_dict(state)
        return self

    def weights(self):
        return {name: weight.clone() for name, weight in self.model.state_dict().items()}


def by_rules(*order):
    return lambda model: regex_groups(model, {name: RULES[name] for name in order}, weight_decay=0.01)


def test_groups_in_another_order_resume_by_their_names():
    saved = Loop(by_rules("first", "second", "third")).train(4).save()
    expected = Loop(by_rules("first", "second", "third")).train(8)
    resumed = Loop(by_rules("third", "first", "second")).load(saved).train(4)
    assert_close(resumed.weights(), expected.weights())
    lrs = [
        {group["name"]: (group["lr"], group["weight_decay"]) for group in run.optimizer.param_groups}
        for run in (resumed, expected)
    ]
    assert lrs[0] == lrs[1]


@pytest.mark.parametrize("on_resume", ["keep", "stretch", "switch", "rewarm(2)"])
def test_another_order_and_another_length(on_resume):
    def resume(*order):
        loop = Loop(by_rules(*order), on_resume=on_resume)
        loop.scheduler = get_scheduler("linear()", loop.optimizer, num_training_steps=20, on_resume=on_resume)
        return loop.load(saved).train(8).weights()

    saved = Loop(by_rules("first", "second", "third")).train(4).save()
    assert_close(resume("second", "third", "first"), resume("first", "second", "third"))


def test_plateaus_move_with_their_groups():
    def groups(*order):
        own = {"first": "hold() * plateau(patience=0)", "second": "linear() * plateau(patience=0, cooldown=1)"}
        return lambda model: regex_groups(model, {name: {**RULES[name], "schedule": own.get(name)} for name in order})

    run = Loop(groups("first", "second", "third")).train(4)
    run.scheduler.declare_driven("plateau")
    for loss in (1.0, 2.0, 3.0):
        run.scheduler.observe({"eval_loss": loss})
    resumed = Loop(groups("second", "third", "first")).load(run.save())
    lrs = {group["name"]: group["lr"] for group in resumed.optimizer.param_groups}
    assert lrs == {group["name"]: group["lr"] for group in run.optimizer.param_groups}


def test_parameters_in_another_order_resume_by_their_names():
    def groups(model, reverse=False):
        return [{"params": sorted(model.named_parameters(), reverse=reverse)}]

    saved = Loop(groups).train(4).save()
    resumed = Loop(lambda model: groups(model, reverse=True)).load(saved).train(4)
    assert_close(resumed.weights(), Loop(groups).train(8).weights())


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (
            ("first", "second", "third"),
            ("first", "second"),
            ["has 4 parameter groups, not the 6 of the checkpoint", "Gone: 'third'"],
        ),
        (
            ("first", "second"),
            ("first", "second", "third"),
            ["has 6 parameter groups, not the 4 of the checkpoint", "New: 'third'"],
        ),
        (("first",), ("second",), ["New: 'second'", "Gone: 'first'"]),
    ],
)
def test_other_groups_are_refused(was, now, said):
    def groups(names):
        def make(model):
            for name, parameter in model.named_parameters():
                parameter.requires_grad = any(RULES[rule]["pattern"][1] == name[0] for rule in names)
            return by_rules(*names)(model)

        return make

    saved = Loop(groups(was)).train(4).save()
    loop = Loop(groups(now))
    before = loop.optimizer.state_dict()
    with pytest.raises(ScheduleError) as refusal:
        loop.load(saved)
    assert [each for each in ["cannot resume", "from_pretrained", *said] if each not in str(refusal.value)] == []
    assert loop.optimizer.state_dict() == before


def test_parameters_that_were_not_trained_are_named():
    def groups(*modules):
        return lambda model: [{"params": [each for each in model.named_parameters() if int(each[0][0]) in modules]}]

    saved = Loop(groups(2)).train(4).save()
    with pytest.raises(ScheduleError, match=r"in 'group 0': new '1.weight', '1.bias'\."):
        Loop(groups(1, 2)).load(saved)
    with pytest.raises(ScheduleError, match=r"new '0.weight', '0.bias'; gone '2.weight', '2.bias'"):
        Loop(groups(0)).load(saved)


def test_without_names_shapes_are_compared():
    def groups(model):
        return [{"params": [*model[0].parameters()]}, {"params": [*model[1].parameters()]}]

    saved = Loop(groups).train(4).save()
    with pytest.raises(ScheduleError, match="'group 1' had 2 tensors and has 4"):
        Loop(lambda model: [*groups(model)[:1], {"params": [*model[1:].parameters()]}]).load(saved)
    with pytest.raises(ScheduleError, match="'group 0' has tensors of other shapes"):
        Loop(lambda model: [{"params": [*model[0].parameters()][::-1]}, groups(model)[1]]).load(saved)


@pytest.mark.parametrize("on_resume", ["strict", "keep", "switch"])
@pytest.mark.parametrize("classes", [(torch.optim.AdamW, torch.optim.SGD), (torch.optim.SGD, torch.optim.AdamW)])
def test_another_optimizer_is_refused(classes, on_resume):
    saved = Loop(cls=classes[0]).train(4).save()
    with pytest.raises(ScheduleError, match=r"checkpoint's optimizer is torch\.\w+, and this one is torch\.\w+"):
        Loop(cls=classes[1], on_resume=on_resume).load(saved)


@pytest.mark.parametrize(("was_in", "now_in"), [("__main__", "my_optimizers"), ("my_optimizers.adam", "__mp_main__")])
def test_a_class_of_the_script_may_have_moved_into_a_module(was_in, now_in):
    def make(module, name="MyAdamW"):
        return type(name, (torch.optim.AdamW,), {"__module__": module})

    saved = Loop(cls=make(was_in)).train(4).save()
    assert Loop(cls=make(now_in)).load(saved).scheduler.last_epoch == 4
    with pytest.raises(ScheduleError, match="checkpoint's optimizer is"):
        Loop(cls=make(now_in, "Other")).load(saved)


def test_other_options_are_refused_by_name():
    saved = Loop(weight_decay=0.01, betas=(0.9, 0.999)).train(4).save()
    with pytest.raises(ScheduleError) as refusal:
        Loop(weight_decay=0.1, betas=(0.9, 0.95)).load(saved)
    assert "weight_decay was 0.01 and is 0.1" in str(refusal.value)
    assert "betas was [0.9, 0.999] and is [0.9, 0.95]" in str(refusal.value)
    assert "'keep' or 'stretch' for the checkpoint's, 'switch' or 'rewarm' for the new ones" in str(refusal.value)


@pytest.mark.parametrize("on_resume", ["keep", "stretch", "switch", "rewarm(2)"])
@pytest.mark.parametrize("scheduler_only", [False, True])
def test_other_options_hold_as_on_resume_says(on_resume, scheduler_only, caplog):
    """Some optimizers load their state in a way of their own, so that only the scheduler compares it."""
    saved = Loop(weight_decay=0.01).train(4).save()
    loop = Loop(weight_decay=0.1, on_resume=on_resume)
    if scheduler_only:
        for handle in loop.optimizer._hf_lrsched_hooks:
            handle.remove()
    loop.load(saved)
    is_new = on_resume in ("switch", "rewarm(2)")
    assert loop.optimizer.param_groups[0]["weight_decay"] == (0.1 if is_new else 0.01)
    whose = "those of this run" if is_new else "those of the checkpoint"
    (message,) = [record.getMessage() for record in caplog.records]
    assert f"{whose}: weight_decay was 0.01 and is 0.1." in message
    caplog.clear()
    again = Loop(weight_decay=0.1 if is_new else 0.01).load(loop.train(1).save())  # what held is saved
    assert again.optimizer.param_groups[0]["weight_decay"] == (0.1 if is_new else 0.01)
    assert caplog.records == []


def test_without_data_in_the_optimizers_state_the_scheduler_compares():
    """FSDP saves an optimizer in a form of its own, with the groups alone."""
    saved = Loop(by_rules("first", "second", "third"), betas=(0.9, 0.99)).train(4).save()
    del saved[1]["hf_lrsched"]
    with pytest.raises(ScheduleError, match="betas was"):
        Loop(by_rules("second", "first", "third")).load(saved)
    resumed = Loop(by_rules("second", "first", "third"), betas=(0.9, 0.99)).load(saved).train(4)
    expected = Loop(by_rules("first", "second", "third"), betas=(0.9, 0.99)).train(8)
    assert_close(resumed.weights(), expected.weights())


def test_what_does_not_change_the_computation_may_differ():
    saved = Loop(foreach=False, weight_decay=0.0).train(4).save()
    Loop(foreach=True, weight_decay=0.0).load(saved)


def test_options_that_a_run_changes_itself_do_not_differ():
    run = Loop(weight_decay=0.1).train(4)
    run.optimizer.param_groups[0]["weight_decay"] = 0.05  # such as a schedule of the weight decay
    resumed = Loop(weight_decay=0.1).load(run.save())
    assert resumed.optimizer.param_groups[0]["weight_decay"] == 0.05


@pytest.mark.parametrize("cls", [torch.optim.AdamW, partial(torch.optim.SGD, momentum=0.9)])
def test_a_momentum_that_the_schedule_changes_does_not_differ(cls):
    """The second scheduler of an optimizer finds a momentum that the first has changed."""
    text = "one_cycle() * momentum()"
    run = Loop(cls=cls, schedule=text).train(4)
    saved = run.save()
    run.scheduler = get_scheduler(text, run.optimizer, num_training_steps=10)
    run.load(saved)
    Loop(cls=cls, schedule=text).load(run.train(2).save())


class Counting(torch.optim.AdamW):
    """Counts in its groups, as Prodigy and schedule-free optimizers do."""

    def __init__(self, params, **options):
        super().__init__(params, **options)
        self.defaults["k"] = 0
        for group in self.param_groups:
            group["k"] = 0

    def step(self, closure=None):
        for group in self.param_groups:
            group["k"] += 1
        return super().step(closure)


def test_what_an_optimizer_counts_does_not_differ():
    run = Loop(cls=Counting).train(4)
    saved = run.save()
    run.scheduler = get_scheduler("linear()", run.optimizer, num_training_steps=10)
    assert run.load(saved).optimizer.param_groups[0]["k"] == 4
    assert Loop(cls=Counting).load(run.save()).optimizer.param_groups[0]["k"] == 4


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_of_the_model_do_not_change_its_names(prefix):
    def named(start):
        return lambda model: [(start + name, parameter) for name, parameter in model.named_parameters()]

    saved = Loop(named("")).train(4).save()
    assert_close(Loop(named(prefix)).load(saved).train(4).weights(), Loop(named("")).train(8).weights())


def test_a_checkpoint_of_a_run_without_a_schedule():
    run = Loop()
    for handle in run.optimizer._hf_lrsched_hooks:
        handle.remove()
    saved = run.train(4).save()
    assert "hf_lrsched" not in saved[1]
    del saved[2]["optimizer"]
    assert_close(Loop().load(saved).train(4).weights(), Loop().train(8).weights())
    with pytest.raises(ScheduleError, match="has 6 parameter groups, not the 1 of the checkpoint"):
        Loop(by_rules("first", "second", "third")).load(saved)


def test_scheduler_alone_is_refused_where_groups_have_moved():
    saved = Loop(by_rules("first", "second", "third")).train(4).save()
    with pytest.raises(ScheduleError, match="Load the optimizer's state before the scheduler's"):
        Loop(by_rules("third", "second", "first")).scheduler.load_state_dict(saved[2])


# Real runs


class Net(nn.Module):
    def __init__(self, reverse=False):
        super().__init__()
        torch.manual_seed(0)
        layers = {name: nn.Linear(4, 4) for name in ("a", "b")}
        for name in reversed(layers) if reverse else layers:
            setattr(self, name, layers[name])

    def forward(self, x, labels=None):
        logits = self.b(self.a(x))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


SAVING = {"max_steps": 8, "save_strategy": "steps", "save_steps": 4}


def group_by(*names):
    rules = {"a": {"pattern": r"^a\.", "lr": 0.1}, "b": {"pattern": r"^b\.", "lr": 0.01}}
    return lambda model, _=None: regex_groups(model, {name: rules[name] for name in names})


@pytest.fixture(params=["ours", "stock"])
def resume(request, make_trainer, tmp_path):
    """Makes a Trainer with groups and options, ours or the stock one; it resumes where asked."""

    def make(groups=None, is_resumed=False, on_resume="strict", model=None, optim="adamw_torch", weight_decay=0.0):
        model = Net() if model is None else model
        if request.param == "ours":
            names = {"groups": groups} if groups else {}

            class Ours(ScheduledTrainer):
                def __init__(self, **kwargs):
                    super().__init__(**kwargs, **names, on_resume=on_resume)

            options = {"optim": optim, "weight_decay": weight_decay}
            trainer = make_trainer("linear()", cls=Ours, model=model, **SAVING, **options)
        else:
            cls = torch.optim.SGD if optim == "sgd" else torch.optim.AdamW
            params = model.parameters() if groups is None else groups(model)
            optimizer = cls(params, lr=0.1, weight_decay=weight_decay)
            scheduler = get_scheduler("linear()", optimizer, num_training_steps=8, on_resume=on_resume)
            trainer = make_trainer(
                cls=Trainer, model=model, optimizers=(optimizer, scheduler), callbacks=[ScheduleCallback()], **SAVING
            )
        trainer.train(resume_from_checkpoint=str(tmp_path / "out/checkpoint-4") if is_resumed else None)
        return {name: weight.clone() for name, weight in trainer.model.state_dict().items()}

    return make


def test_trainers_resume_groups_by_name(resume):
    expected = resume(group_by("a", "b"))
    assert_close(resume(group_by("b", "a"), is_resumed=True), expected)


def test_trainers_refuse_what_differs(resume):
    resume()
    for optim, weight_decay, message in (
        ("sgd", 0.0, r"AdamW, and this one is torch\.SGD"),
        ("adamw_torch", 0.3, "and is 0.3"),
    ):
        with pytest.raises(ScheduleError, match=message):
            resume(is_resumed=True, optim=optim, weight_decay=weight_decay)
    with pytest.raises(ScheduleError, match="has 4 parameter groups, not the"):
        resume(group_by("a", "b"), is_resumed=True)


def test_trainers_refuse_unfrozen_layers(resume):
    frozen = Net()
    frozen.a.requires_grad_(False)
    resume(lambda model, _=None: [{"params": [*model.b.parameters()]}], model=frozen)
    with pytest.raises(ScheduleError, match="cannot resume: the parameters differ"):
        resume(lambda model, _=None: [{"params": [*model.parameters()]}], is_resumed=True)


def test_trainers_find_parameters_in_another_order(resume, request):
    """The stock Trainer's optimizer has no names: what it has loaded is found at the start of the training."""
    expected = resume()
    if "ours" in request.node.name:
        assert_close(resume(is_resumed=True, model=Net(reverse=True)), expected)
    else:
        with pytest.raises(ScheduleError, match="in another order than in the checkpoint"):
            resume(is_resumed=True, model=Net(reverse=True))
