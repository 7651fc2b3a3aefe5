"""Parameter groups in Trainer: the LR of every group at every update, freezing, conflicts, resume."""

from dataclasses import dataclass

import pytest
import torch
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

from hf_lrsched import (
    GroupArguments,
    ScheduleArguments,
    ScheduledTrainer,
    ScheduleError,
    gradual_unfreezing,
    layerwise_groups,
    scheduled,
)
from hf_lrsched.groups import LayerwiseGroups, find_main_group
from tests.groups.bert_runs import (
    HEAD,
    NAMES,
    PEAK,
    PEAKS,
    RULE,
    UPDATES,
    part_of,
    tiny_bert,
    weights,
)


@dataclass
class Args(ScheduleArguments, GroupArguments, TrainingArguments):
    pass


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


def test_lrs_of_every_update_and_next_to_the_metrics(bert_trainer):
    trainer = bert_trainer(RULE, num_train_epochs=2, eval_strategy="epoch", optim="adamw_torch")
    trainer.train()
    expected = [[PEAKS[part_of(name)] * (1 - t / 12) for name in NAMES] for t in range(12)]
    assert trainer.recorder.groups == [pytest.approx(lrs, rel=1e-9) for lrs in expected]
    records = [record for record in trainer.state.log_history if "eval_loss" in record]
    for record, used in zip(records, (expected[5], expected[11]), strict=True):
        logged = {key.removeprefix("eval_lr/"): value for key, value in record.items() if key.startswith("eval_lr/")}
        lrs = {name: lr for name, lr in zip(NAMES, used, strict=True) if name == part_of(name)}
        assert logged == {name: pytest.approx(lr, rel=1e-9) for name, lr in lrs.items()}  # equal LRs are one entry
        main = find_main_group(trainer.optimizer)
        assert record["eval_learning_rate"] == pytest.approx(used[main], rel=1e-9)


def test_second_train_keeps_the_groups(bert_trainer):
    trainer = bert_trainer(RULE)
    trainer.train()
    groups = [(group["name"], [*map(id, group["params"])]) for group in trainer.optimizer.param_groups]
    trainer.train()
    assert [(group["name"], [*map(id, group["params"])]) for group in trainer.optimizer.param_groups] == groups
    once = [[PEAKS[part_of(name)] * (1 - t / UPDATES) for name in NAMES] for t in range(UPDATES)]
    assert trainer.recorder.groups == [pytest.approx(lrs, rel=1e-9) for lrs in once + once]


def test_any_subclass_of_trainer(bert_trainer):
    trainer = bert_trainer(RULE, cls=scheduled(Seq2SeqTrainer), args_class=Seq2SeqTrainingArguments)
    trainer.train()
    assert trainer.recorder.groups[0] == pytest.approx([PEAKS[part_of(name)] for name in NAMES])


def test_function_with_schedules_per_group(bert_trainer):
    def rule(model, groups):
        return gradual_unfreezing(layerwise_groups(model, lr=PEAK), "linear()", every=1)

    trainer = bert_trainer(rule, optim="adamw_torch")
    trainer.train()
    thaw = {"head": 0, "layer_1": 1, "layer_0": 2, "embeddings": 3}
    expected = [[PEAK * (1 - t / 6) if t >= thaw[part_of(name)] else 0 for name in NAMES] for t in range(6)]
    assert trainer.recorder.groups == [pytest.approx(lrs, rel=1e-9) for lrs in expected]


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
    expected = [
        [PEAKS[part_of(name)] * curve[t] if t >= thaw[part_of(name)] else 0 for name in NAMES] for t in range(24)
    ]
    assert trainer.recorder.groups == [pytest.approx(lrs, rel=1e-9) for lrs in expected]
    first = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}
    assert moved[0] == first
    assert all(name in first or ".layer.1." in name for name in moved[1]) and moved[1] > first
    assert not any("embeddings" in name for name in moved[2])
    assert any("embeddings" in name for name in moved[3])


def test_frozen_groups_do_not_move(bert_trainer):
    trainer = bert_trainer(LayerwiseGroups(freeze=("embeddings", "layer_0")), num_train_epochs=2)
    before = weights(trainer.model)
    trainer.train()
    after = weights(trainer.model)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same >= {name for name in before if "embeddings" in name or ".layer.0." in name}
    assert not any(".layer.1.output" in name or "classifier" in name for name in same)


def test_second_train_unfreezes_by_its_own_schedule(bert_trainer):
    trainer = bert_trainer(
        LayerwiseGroups(unfreeze_every=2), None, args_class=Args, schedule_in_args="linear()", max_steps=8
    )
    trainer.train()
    trainer.args.schedule = "hold()"
    trainer.train()
    lower = [lrs[NAMES.index("layer_0")] for lrs in trainer.recorder.groups]
    assert lower == pytest.approx([PEAK * (1 - t / 8) if t >= 4 else 0 for t in range(8)] + [0] * 4 + [PEAK] * 4)


def test_second_train_uses_the_new_arguments(bert_trainer):
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


def test_rule_and_optimizer_conflict(bert_trainer):
    model = tiny_bert()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(ScheduleError, match=r"groups= and the SGD in optimizers=.*layerwise_groups"):
        bert_trainer(RULE, model=model, optimizers=(optimizer, None))


@pytest.mark.parametrize("groups", [0.95, "layerwise", {"decay": 0.9}, [{"params": []}]], ids=str)
def test_invalid_rules(bert_trainer, groups):
    with pytest.raises(ScheduleError, match="groups= takes LayerwiseGroups"):
        bert_trainer(groups)


def test_create_optimizer_overridden_in_a_subclass(bert_trainer):
    class Above(ScheduledTrainer):
        def create_optimizer(self, *args, **kwargs):
            if self.optimizer is None:
                self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
            return self.optimizer

    trainer = bert_trainer(RULE, cls=Above)
    with pytest.raises(ScheduleError, match="groups= had no effect"):
        trainer.train()
    assert trainer.recorder.groups == []


def test_create_optimizer_overridden_in_a_base_class(bert_trainer):
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


def test_groups_from_training_arguments(bert_trainer):
    trainer = bert_trainer(args_class=Args, layer_decay=0.5, head_learning_rate=HEAD)
    trainer.args.layer_decay = 0.25  # as a search sets it
    trainer.train()
    assert trainer.recorder.groups[0][::2] == pytest.approx([HEAD, PEAK / 4, PEAK / 16, PEAK / 64])
    with pytest.raises(ScheduleError, match="two rules for parameter groups"):
        bert_trainer(RULE, args_class=Args, layer_decay=0.9)


def test_stock_groups_without_a_rule(bert_trainer, capsys):
    trainer = bert_trainer(args_class=Args)
    trainer.train()
    assert [len(group["params"]) for group in trainer.optimizer.param_groups] == [17, 24]
    assert not any("name" in group for group in trainer.optimizer.param_groups)
    assert "parameter groups" not in capsys.readouterr().out


def test_table_is_printed_before_the_first_update(bert_trainer, capsys):
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
