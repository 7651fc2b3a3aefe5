"""Parameter groups in Trainer: what the optimizer gets, the LR of every group at every update, what is refused."""

from dataclasses import dataclass

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)

from hf_lrsched import (
    GroupArguments,
    ScheduleArguments,
    ScheduledTrainer,
    ScheduleError,
    gradual_unfreezing,
    layerwise_groups,
    regex_groups,
    scheduled,
)
from hf_lrsched.groups import LayerwiseGroups

PEAK, HEAD = 1e-3, 1e-2
UPDATES = 6  # of an epoch: 24 samples in batches of 4
RULE = LayerwiseGroups(decay=0.5, head_lr=HEAD)
#: Two layers: the head, the upper one, the lower one, the embeddings.
PEAKS = {"head": HEAD, "layer_1": PEAK / 2, "layer_0": PEAK / 4, "embeddings": PEAK / 8}
NAMES = [place + end for place in PEAKS for end in ("", "/no_decay")]


@dataclass
class Args(ScheduleArguments, GroupArguments, TrainingArguments):
    pass


def tiny_bert(**settings):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForSequenceClassification(
        BertConfig(**sizes, vocab_size=20, max_position_embeddings=8, type_vocab_size=1, **settings)
    )
    model.accepts_loss_kwargs = False
    return model


def texts(count):
    words = torch.randint(1, 20, (count, 6), generator=torch.Generator().manual_seed(count))
    return [{"input_ids": row, "labels": int(row[0] > 9)} for row in words]


@pytest.fixture
def bert_trainer(make_trainer):
    def make(groups=None, schedule="linear()", cls=ScheduledTrainer, model=None, **settings):
        return make_trainer(
            schedule,
            cls=lambda **kwargs: cls(groups=groups, **kwargs),
            model=tiny_bert() if model is None else model,
            train=texts(24),
            dev=texts(8),
            **settings,
        )

    return make


@pytest.fixture
def stock_optimizer(training_args):
    """What the stock Trainer makes: the options of each parameter, by its name."""

    def make(cls=Trainer, model=None, **settings):
        trainer = cls(model=tiny_bert() if model is None else model, args=training_args(**settings))
        return options_of(trainer.create_optimizer(), trainer.model)

    return make


def options_of(optimizer, model, without=("params", "lr", "name")):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: {key: value for key, value in group.items() if key not in without}
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def peaks_of(optimizer):
    return {group["name"]: group.get("initial_lr", group["lr"]) for group in optimizer.param_groups}


def place(name):
    return name.removesuffix("/no_decay")


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


# The optimizer


@pytest.mark.parametrize(
    "optim", ["adamw_torch", "adamw_torch_fused", "sgd", "adafactor", "adagrad", "rmsprop"], ids=str
)
def test_every_option_of_the_stock_optimizer_is_inherited(bert_trainer, stock_optimizer, optim):
    settings = {"optim": optim, "adam_beta1": 0.8, "weight_decay": 0.03}
    trainer = bert_trainer(RULE, **settings)
    optimizer = trainer.create_optimizer()
    stock = stock_optimizer(**settings)
    assert options_of(optimizer, trainer.model) == stock
    assert len(stock) == len(list(trainer.model.parameters()))
    assert [group["name"] for group in optimizer.param_groups] == NAMES
    assert peaks_of(optimizer) == {name: pytest.approx(PEAKS[place(name)], rel=1e-12) for name in NAMES}


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused", "sgd", "adafactor"])
def test_groups_of_one_lr_train_as_one_group(bert_trainer, optim):
    """The weights after two epochs are those of a run without groups."""
    found = []
    for groups in (None, LayerwiseGroups()):
        trainer = bert_trainer(groups, "warmup(25%) >> linear()", optim=optim, num_train_epochs=2)
        trainer.train()
        found.append(weights(trainer.model))
    # The order of addition in the norm for clipping is the same; fused kernels may round otherwise on other groups.
    for name, weight in found[0].items():
        torch.testing.assert_close(found[1][name], weight, rtol=1e-6, atol=1e-7)


def test_lrs_of_every_update_and_beside_the_metrics(bert_trainer):
    trainer = bert_trainer(RULE, num_train_epochs=2, eval_strategy="epoch", optim="adamw_torch")
    trainer.train()
    expected = [[PEAKS[place(name)] * (1 - t / 12) for name in NAMES] for t in range(12)]
    assert trainer.recorder.groups == [pytest.approx(lrs, rel=1e-9) for lrs in expected]
    records = [record for record in trainer.state.log_history if "eval_loss" in record]
    for record, used in zip(records, (expected[5], expected[11]), strict=True):
        logged = {key.removeprefix("eval_lr/"): value for key, value in record.items() if key.startswith("eval_lr/")}
        assert logged == {name: pytest.approx(lr, rel=1e-9) for name, lr in zip(NAMES, used, strict=True)}
        assert record["eval_learning_rate"] == pytest.approx(used[0], rel=1e-9)  # the head's


def test_second_train_keeps_the_groups(bert_trainer):
    trainer = bert_trainer(RULE)
    trainer.train()
    groups = [(group["name"], [*map(id, group["params"])]) for group in trainer.optimizer.param_groups]
    trainer.train()
    assert [(group["name"], [*map(id, group["params"])]) for group in trainer.optimizer.param_groups] == groups
    once = [[PEAKS[place(name)] * (1 - t / UPDATES) for name in NAMES] for t in range(UPDATES)]
    assert trainer.recorder.groups == [pytest.approx(lrs, rel=1e-9) for lrs in once + once]


def test_an_optimizer_class_with_options_of_its_own(bert_trainer):
    """As GaLore: other parameters in a group with a rank; it stays with them."""
    model = tiny_bert()

    class Ranked(torch.optim.SGD):
        pass

    ranked = [each for name, each in model.named_parameters() if "query.weight" in name]
    rest = [each for name, each in model.named_parameters() if "query.weight" not in name]
    own = {"params": [{"params": rest}, {"params": ranked, "rank": 4}], "lr": PEAK}
    trainer = make_with_optimizer(bert_trainer, model, (Ranked, own))
    optimizer = trainer.create_optimizer()
    assert type(optimizer) is Ranked
    ranks = {group["name"]: (group.get("rank"), len(group["params"])) for group in optimizer.param_groups}
    # 2 query matrices of 37 + 2 tensors: a layer has 16.
    assert ranks == {
        "head": (None, 4),
        "layer_1": (None, 15),
        "layer_1/group_1": (4, 1),
        "layer_0": (None, 15),
        "layer_0/group_1": (4, 1),
        "embeddings": (None, 5),
    }


def test_parameters_of_a_loss_belong_to_the_head(bert_trainer):
    model, extra = tiny_bert(), torch.nn.Parameter(torch.zeros(3))
    own = {"params": [{"params": [*model.parameters(), extra]}], "lr": PEAK}
    optimizer = make_with_optimizer(bert_trainer, model, (torch.optim.SGD, own)).create_optimizer()
    (group,) = [group for group in optimizer.param_groups if any(each is extra for each in group["params"])]
    assert (group["name"], group["lr"]) == ("head", HEAD)


def test_groups_of_named_parameters_keep_their_names(bert_trainer):
    model = tiny_bert()
    try:
        torch.optim.SGD(model.named_parameters(), lr=1.0)
    except TypeError:
        pytest.skip("this torch has no named parameters in optimizers")
    own = {"params": [{"params": list(model.named_parameters())}], "lr": PEAK}
    optimizer = make_with_optimizer(bert_trainer, model, (torch.optim.SGD, own)).create_optimizer()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        assert group["param_names"] == [names[id(parameter)] for parameter in group["params"]]


def test_tensor_lrs_stay_tensors_of_their_own(bert_trainer):
    model = tiny_bert()
    own = {"params": [{"params": list(model.parameters())}], "lr": torch.tensor(PEAK), "capturable": False}
    trainer = make_with_optimizer(bert_trainer, model, (torch.optim.AdamW, own | {"foreach": False}))
    lrs = [group["lr"] for group in trainer.create_optimizer().param_groups]
    assert all(isinstance(lr, torch.Tensor) for lr in lrs)
    assert len({lr.data_ptr() for lr in lrs}) == len(lrs)
    assert [lr.item() for lr in lrs] == pytest.approx([HEAD, PEAK / 2, PEAK / 4, PEAK / 8])


def make_with_optimizer(bert_trainer, model, optimizer_cls_and_kwargs):
    def cls(**kwargs):
        del kwargs["optimizers"]
        return ScheduledTrainer(optimizer_cls_and_kwargs=optimizer_cls_and_kwargs, **kwargs)

    return bert_trainer(RULE, cls=cls, model=model)


def test_an_optimizer_without_groups_is_refused(bert_trainer):
    """One that steps within the backward pass has a dummy for a group."""
    own = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": PEAK}
    trainer = make_with_optimizer(bert_trainer, tiny_bert(), (torch.optim.SGD, own))
    with pytest.raises(ScheduleError, match="hold none of the model's parameters"):
        trainer.train()


def test_any_subclass_of_trainer(bert_trainer):
    trainer = bert_trainer(RULE, cls=scheduled(Seq2SeqTrainer), args_class=Seq2SeqTrainingArguments)
    trainer.train()
    assert trainer.recorder.groups[0] == pytest.approx([PEAKS[place(name)] for name in NAMES])


# A function as the rule


def test_a_function_says_what_it_wants_and_inherits_the_rest(bert_trainer, stock_optimizer):
    def rule(model, groups):
        assert [len(group["params"]) for group in groups] == [17, 24]  # Trainer's own: with and without weight decay
        return regex_groups(
            model, {"encoder": {"pattern": "encoder", "lr": 1e-5}, "rest": {"pattern": "embed|pool|class"}}
        )

    settings = {"weight_decay": 0.03, "adam_beta2": 0.9}
    trainer = bert_trainer(rule, **settings)
    trainer.train()
    optimizer = trainer.optimizer
    peaks = {"encoder": 1e-5, "encoder/no_decay": 1e-5, "rest": PEAK, "rest/no_decay": PEAK}
    assert peaks_of(optimizer) == peaks
    without = ("params", "lr", "name", "initial_lr")
    assert options_of(optimizer, trainer.model, without) == stock_optimizer(**settings)
    assert trainer.recorder.groups[0] == pytest.approx(list(peaks.values()))


def test_one_group_of_a_function_is_split_where_it_must_be(bert_trainer):
    def rule(model, groups):
        head = [each for name, each in model.named_parameters() if "classifier" in name]
        body = [each for name, each in model.named_parameters() if "classifier" not in name]
        return [{"params": iter(head), "name": "head", "weight_decay": 0.5}, {"params": body, "name": "body"}]

    groups = bert_trainer(rule, weight_decay=0.03).create_optimizer().param_groups
    told = [(group["name"], len(group["params"]), group["weight_decay"]) for group in groups]
    # The head says its weight decay, so that nothing is left to tell its two tensors apart.
    assert told == [("head", 2, 0.5), ("body", 16, 0.03), ("body/no_decay", 23, 0.0)]


def test_a_functions_own_schedules(bert_trainer):
    def rule(model, groups):
        return gradual_unfreezing(layerwise_groups(model, lr=PEAK), "linear()", every=1)

    trainer = bert_trainer(rule, optim="adamw_torch")
    trainer.train()
    thaw = {"head": 0, "layer_1": 1, "layer_0": 2, "embeddings": 3}
    expected = [[PEAK * (1 - t / 6) if t >= thaw[place(name)] else 0 for name in NAMES] for t in range(6)]
    assert trainer.recorder.groups == [pytest.approx(lrs, rel=1e-9) for lrs in expected]


def rest_of(model, groups):
    return [each for group in groups for each in group["params"] if each is not model.classifier.bias]


WRONG = {
    "nothing": (lambda model, groups: None, "must return a list of parameter groups"),
    "parameters": (lambda model, groups: list(model.parameters()), "must return a list of parameter groups"),
    "left out": (lambda model, groups: [{"params": rest_of(model, groups)}], "leaves out 'classifier.bias'"),
    "added": (
        lambda model, groups: [*groups, {"params": torch.nn.Parameter(torch.zeros(1))}],
        r"adds '\(not a parameter of the model\)'",
    ),
    "twice": (
        lambda model, groups: [*groups, {"params": [model.classifier.bias]}],
        "has in two groups 'classifier.bias'",
    ),
    "same names": (
        lambda model, groups: [{**group, "name": "all"} for group in groups],
        "2 parameter groups are called 'all'",
    ),
    "bad lr": (lambda model, groups: [{**group, "lr": -1} for group in groups], "the lr of group 0 must be"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_function_that_goes_wrong(bert_trainer, case):
    rule, message = WRONG[case]
    trainer = bert_trainer(rule)
    for _ in range(2):  # a second try must not train with the stock groups
        with pytest.raises(ScheduleError, match=message):
            trainer.train()
    assert trainer.recorder.groups == []


# Freezing


def test_gradual_unfreezing(bert_trainer):
    rule = LayerwiseGroups(decay=0.5, head_lr=HEAD, unfreeze_every="1ep")
    trainer = bert_trainer(rule, "warmup(25%) >> linear()", num_train_epochs=4, optim="adamw_torch")
    moved, before = [], weights(trainer.model)

    def on_epoch_end(args, state, control, model=None, **kwargs):
        nonlocal before
        now = weights(model)
        moved.append({name for name in now if not torch.equal(now[name], before[name])})
        before = now

    trainer.recorder.on_epoch_end = on_epoch_end
    trainer.train()
    thaw = {"head": 0, "layer_1": 6, "layer_0": 12, "embeddings": 18}
    curve = [t / 6 if t < 6 else 1 - (t - 6) / 18 for t in range(24)]
    expected = [[PEAKS[place(name)] * curve[t] if t >= thaw[place(name)] else 0 for name in NAMES] for t in range(24)]
    assert trainer.recorder.groups == [pytest.approx(lrs, rel=1e-9) for lrs in expected]
    first = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}
    assert moved[0] == first
    assert all(name in first or ".layer.1." in name for name in moved[1]) and moved[1] > first
    assert not any("embeddings" in name for name in moved[2])
    assert any("embeddings" in name for name in moved[3])


def test_frozen_throughout(bert_trainer):
    trainer = bert_trainer(LayerwiseGroups(freeze=("embeddings", "layer_0")), num_train_epochs=2)
    before = weights(trainer.model)
    trainer.train()
    after = weights(trainer.model)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same >= {name for name in before if "embeddings" in name or ".layer.0." in name}
    assert not any(".layer.1.output" in name or "classifier" in name for name in same)


def test_the_next_train_thaws_by_its_own_schedule(bert_trainer):
    trainer = bert_trainer(
        LayerwiseGroups(unfreeze_every=2), None, args_class=Args, schedule_in_args="linear()", max_steps=8
    )
    trainer.train()
    trainer.args.schedule = "hold()"
    trainer.train()
    lower = [lrs[NAMES.index("layer_0")] for lrs in trainer.recorder.groups]
    assert lower == pytest.approx([PEAK * (1 - t / 8) if t >= 4 else 0 for t in range(8)] + [0] * 4 + [PEAK] * 4)


def test_the_next_train_follows_the_arguments_freezing(bert_trainer):
    settings = {"layer_decay": 1.0, "unfreeze_every": 1, "freeze": ["embeddings"]}
    trainer = bert_trainer(args_class=Args, **settings)
    trainer.train()
    trainer.args.unfreeze_every = None
    trainer.train()
    lower = [lrs[NAMES.index("layer_0")] for lrs in trainer.recorder.groups]
    assert lower == pytest.approx(
        [PEAK * (1 - t / 6) if t >= 2 else 0 for t in range(6)] + [PEAK * (1 - t / 6) for t in range(6)]
    )
    assert {lrs[NAMES.index("embeddings")] for lrs in trainer.recorder.groups} == {0.0}


# Two sources


def test_an_optimizer_of_ones_own_beside_groups(bert_trainer):
    model = tiny_bert()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(ScheduleError, match=r"groups= and the SGD in optimizers=.*layerwise_groups"):
        bert_trainer(RULE, model=model, optimizers=(optimizer, None))


@pytest.mark.parametrize("groups", [0.95, "layerwise", {"decay": 0.9}, [{"params": []}]], ids=str)
def test_what_is_no_rule(bert_trainer, groups):
    with pytest.raises(ScheduleError, match="groups= takes LayerwiseGroups"):
        bert_trainer(groups)


def test_create_optimizer_that_is_overridden_above(bert_trainer):
    class Above(ScheduledTrainer):
        def create_optimizer(self, *args, **kwargs):
            if self.optimizer is None:
                self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
            return self.optimizer

    trainer = bert_trainer(RULE, cls=Above)
    with pytest.raises(ScheduleError, match="groups= had no effect"):
        trainer.train()
    assert trainer.recorder.groups == []


def test_create_optimizer_that_is_overridden_below(bert_trainer):
    class Below(Trainer):
        def create_optimizer(self, *args, **kwargs):
            if self.optimizer is None:
                self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5, momentum=0.9)
                self.optimizer.param_groups[0]["initial_lr"] = 0.5  # left by a scheduler: not the peak of every layer
            return self.optimizer

    trainer = bert_trainer(LayerwiseGroups(decay=0.5), cls=scheduled(Below))
    trainer.train()
    assert trainer.recorder.groups[0] == pytest.approx([0.5, 0.25, 0.125, 0.0625])
    assert {group["momentum"] for group in trainer.optimizer.param_groups} == {0.9}


def test_groups_in_the_arguments(bert_trainer):
    trainer = bert_trainer(args_class=Args, layer_decay=0.5, head_learning_rate=HEAD)
    trainer.args.layer_decay = 0.25  # as a search sets it
    trainer.train()
    assert trainer.recorder.groups[0][::2] == pytest.approx([HEAD, PEAK / 4, PEAK / 16, PEAK / 64])
    with pytest.raises(ScheduleError, match="two rules for parameter groups"):
        bert_trainer(RULE, args_class=Args, layer_decay=0.9)


def test_without_a_rule_the_groups_are_the_stock_ones(bert_trainer, capsys):
    trainer = bert_trainer(args_class=Args)
    trainer.train()
    assert [len(group["params"]) for group in trainer.optimizer.param_groups] == [17, 24]
    assert not any("name" in group for group in trainer.optimizer.param_groups)
    assert "parameter groups" not in capsys.readouterr().out


# What is told


def test_the_table_is_shown_before_the_first_update(bert_trainer, capsys):
    trainer = bert_trainer(RULE, "warmup(25%) >> linear()")
    shown = []
    trainer.recorder.on_train_begin = lambda *args, **kwargs: shown.append(capsys.readouterr().out)
    trainer.train()
    rows = [row.split() for row in shown[0].partition("8 parameter groups")[2].splitlines()[1:]]
    assert rows[0][:3] == ["name", "layers", "tensors"]
    assert rows[1] == ["head", "2", "80", "0.01", "0.01"]  # the peak, not the LR of the first update, which is 0
    assert rows[3][:2] == ["layer_1", "1"] and rows[3][4:] == ["0.0005", "0.01"]
    assert "parameter groups" not in capsys.readouterr().out


def test_resume_with_groups(bert_trainer, tmp_path):
    rule = LayerwiseGroups(decay=0.5, head_lr=HEAD, unfreeze_every=2)
    settings = {"save_strategy": "steps", "save_steps": 3, "num_train_epochs": 2, "optim": "adamw_torch"}
    whole = bert_trainer(rule, "warmup(25%) >> linear()", output_dir=str(tmp_path / "run"), **settings)
    whole.train()
    again = bert_trainer(rule, "warmup(25%) >> linear()", output_dir=str(tmp_path / "run"), **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    assert again.recorder.groups == whole.recorder.groups[3:]
    for name, weight in weights(whole.model).items():
        torch.testing.assert_close(weights(again.model)[name], weight, rtol=0, atol=0)
