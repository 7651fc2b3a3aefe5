"""Groups of a Trainer's optimizer, split: each option is inherited, each parameter is in one group."""

import pytest
import torch

from hf_lrsched import ScheduledTrainer, ScheduleError, regex_groups
from tests.groups.bert_runs import (
    HEAD,
    NAMES,
    PEAK,
    PEAKS,
    RULE,
    options_of,
    part_of,
    peaks_of,
    tiny_bert,
)


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
    assert peaks_of(optimizer) == {name: pytest.approx(PEAKS[part_of(name)], rel=1e-12) for name in NAMES}


def test_groups_with_their_own_options_stay_separate(bert_trainer):
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


def test_each_group_gets_its_own_tensor_lr(bert_trainer):
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


def test_optimizer_without_the_models_parameters(bert_trainer):
    """One that steps within the backward pass has a dummy for a group."""
    own = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": PEAK}
    trainer = make_with_optimizer(bert_trainer, tiny_bert(), (torch.optim.SGD, own))
    with pytest.raises(ScheduleError, match="hold none of the model's parameters"):
        trainer.train()


def test_function_inherits_options_that_it_does_not_set(bert_trainer, stock_optimizer):
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


def test_group_of_a_function_is_split_by_weight_decay(bert_trainer):
    def rule(model, groups):
        head = [each for name, each in model.named_parameters() if "classifier" in name]
        body = [each for name, each in model.named_parameters() if "classifier" not in name]
        return [{"params": iter(head), "name": "head", "weight_decay": 0.5}, {"params": body, "name": "body"}]

    groups = bert_trainer(rule, weight_decay=0.03).create_optimizer().param_groups
    found = [(group["name"], len(group["params"]), group["weight_decay"]) for group in groups]
    # The head sets its weight decay, so its two tensors need no separate groups.
    assert found == [("head", 2, 0.5), ("body", 16, 0.03), ("body/no_decay", 23, 0.0)]


def rest_of(model, groups):
    return [each for group in groups for each in group["params"] if each is not model.classifier.bias]


INVALID = {
    "nothing": (lambda model, groups: None, "must return a list of parameter groups"),
    "parameters": (lambda model, groups: list(model.parameters()), "must return a list of parameter groups"),
    "left out": (lambda model, groups: [{"params": rest_of(model, groups)}], "leaves out 'classifier.bias'"),
    "added": (
        lambda model, groups: [*groups, {"params": torch.nn.Parameter(torch.zeros(1))}],
        r"adds '\(not a parameter of the model\)'",
    ),
    "twice": (
        lambda model, groups: [*groups, {"params": [model.classifier.bias]}],
        "puts into two groups: 'classifier.bias'",
    ),
    "same names": (
        lambda model, groups: [{**group, "name": "all"} for group in groups],
        "2 parameter groups are called 'all'",
    ),
    "bad lr": (lambda model, groups: [{**group, "lr": -1} for group in groups], "the lr of group 0 must be"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_function(bert_trainer, case):
    rule, message = INVALID[case]
    trainer = bert_trainer(rule)
    for _ in range(2):  # a second try must not train with the stock groups
        with pytest.raises(ScheduleError, match=message):
            trainer.train()
    assert trainer.recorder.groups == []
