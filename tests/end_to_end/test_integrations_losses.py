"""Monitor and guard in the trainers and with the optimizers of other libraries, on tiny models."""

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback

from hf_lrsched import LossGuard, LossMonitor, ScheduleError, scheduled
from hf_lrsched.optim.wrappers import is_contrastive
from tests.tiny_trainer import Net


class PoisonLogits(TrainerCallback):
    """Makes the gradients of one update NaN."""

    def __init__(self, update):
        self.update = update

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_hook(
                    lambda gradient: gradient * float("nan") if state.global_step + 1 == self.update else gradient
                )


def tiny_sentence_transformer(folder):
    """A sentence-transformer of one layer, with random weights."""
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs sentence-transformers")
    make_tokenizer(folder).save_pretrained(folder / "bert")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=64, **size)).save_pretrained(folder / "bert")
    return sentence_transformers.SentenceTransformer(str(folder / "bert"), device="cpu")


def tiny_gpt2():
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=1)
    )


@pytest.mark.slow
@pytest.mark.parametrize("is_ours", [True, False])
def test_dpo_is_judged_by_the_loss_that_it_trains(tmp_path, is_ours):
    """The model returns the language model's loss beside it, which DPO does not train: that one rises."""
    trl = pytest.importorskip("trl", reason="needs trl: pip install .[integrations]")
    datasets = pytest.importorskip("datasets")
    tokenizer = make_tokenizer(tmp_path)
    rows = [{"prompt": f"w{i % 7}", "chosen": f"w{i % 5} w8", "rejected": f"w{i % 5} w9"} for i in range(64)]
    monitor, guard = LossMonitor(), LossGuard("stop")
    cls, more = (
        (scheduled(trl.DPOTrainer), {"schedule": "warmup(10%) >> linear()"}) if is_ours else (trl.DPOTrainer, {})
    )
    args = trl.DPOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=4,
        max_steps=100,
        learning_rate=3e-3,
        logging_steps=5,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    trainer = cls(
        model=tiny_gpt2(),
        ref_model=tiny_gpt2(),
        args=args,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[monitor, guard],
        **more,
    )
    trainer.train()
    losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    assert losses[-1] < 0.5 * losses[0]
    assert monitor.findings == [] and guard.events == []
    assert trainer.state.global_step == 100


def make_tokenizer(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {f"w{i}": i + 3 for i in range(40)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", bos_token="</s>", unk_token="<unk>"
    )


def test_rollback_of_a_peft_adapter(make_trainer):
    peft = pytest.importorskip("peft", reason="needs peft: pip install .[integrations]")
    torch.manual_seed(0)
    model = peft.get_peft_model(Net(dropout=0.0), peft.LoraConfig(target_modules=["encoder", "head"], r=2))
    weights = {}

    class After(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            weights[state.global_step] = {name: each.detach().clone() for name, each in model.named_parameters()}

    guard = LossGuard("rollback", margin=2, patience=0)
    settings = {"num_train_epochs": 4, "save_strategy": "steps", "save_steps": 4}
    trainer = make_trainer("hold()", model=model, callbacks=[PoisonLogits(15), guard, After()], **settings)
    trainer.train()
    (event,) = guard.events
    assert event["cause"].endswith("were dropped; back to checkpoint-12")
    assert all(torch.equal(weights[15][name], each) for name, each in weights[12].items())


@pytest.mark.parametrize(
    "optim",
    [
        "lomo",
        pytest.param("adalomo", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="AdaLomo needs CUDA")),
    ],
)
def test_optimizers_that_step_in_the_backward_pass_are_refused(make_trainer, optim):
    pytest.importorskip("lomo_optim", reason="needs lomo-optim: pip install .[integrations]")
    trainer = make_trainer(cls=Trainer, callbacks=[LossGuard()], optim=optim)
    with pytest.raises(
        ScheduleError, match=r"LossGuard does not work with (Ada)?Lomo: it steps within the backward pass"
    ):
        trainer.train()


@pytest.mark.parametrize(
    ("optim", "library"), [("galore_adamw_layerwise", "galore_torch"), ("apollo_adamw_layerwise", "apollo_torch")]
)
def test_optimizers_that_step_in_gradient_hooks_are_refused(make_trainer, optim, library):
    pytest.importorskip(library, reason=f"needs {library.replace('_', '-')}: pip install .[integrations]")
    settings = {"optim": optim, "optim_target_modules": ["encoder"]}
    with pytest.raises(ScheduleError, match="it steps within the backward pass"):
        make_trainer(cls=Trainer, callbacks=[LossGuard()], **settings).train()
    with pytest.raises(ScheduleError, match=r"a layer-wise optimizer .* constant LR, whatever the schedule says"):
        make_trainer("linear()", **settings).train()


class NotAModule:
    """Stands for SetFit's model: it is no torch module, and holds one."""

    def __init__(self, model):
        self.model_body = model


@pytest.mark.parametrize("callback", [LossMonitor, LossGuard])
def test_a_model_that_is_no_module(make_trainer, callback):
    """As in SetFit, whose trainer gives such a model to its callbacks."""
    trainer = make_trainer(cls=Trainer, callbacks=[callback()], logging_steps=1)
    handler = trainer.callback_handler
    begin = handler.on_train_begin

    def on_train_begin(*args):
        handler.model = NotAModule(handler.model)
        return begin(*args)

    handler.on_train_begin = on_train_begin
    trainer.train()
    assert trainer.state.global_step == 6


def test_a_model_without_any_module_is_refused_by_the_guard(make_trainer):
    trainer = make_trainer(cls=Trainer, callbacks=[LossGuard()])
    trainer.create_optimizer()
    trainer.callback_handler.model = object()
    trainer.callback_handler.optimizer = trainer.optimizer
    with pytest.raises(ScheduleError, match="LossGuard needs a torch module, and this run trains a object"):
        trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)


@pytest.mark.slow
def test_monitor_and_guard_in_setfit(tmp_path):
    setfit = pytest.importorskip("setfit", reason="needs setfit: pip install .[integrations]")
    linear_model = pytest.importorskip("sklearn.linear_model")
    datasets = pytest.importorskip("datasets")
    body = tiny_sentence_transformer(tmp_path)
    monitor, guard = LossMonitor(), LossGuard("stop")
    rows = datasets.Dataset.from_list([{"text": f"w{i % 2} w{i}", "label": i % 2} for i in range(16)])
    trainer = setfit.Trainer(
        model=setfit.SetFitModel(model_body=body, model_head=linear_model.LogisticRegression()),
        args=setfit.TrainingArguments(
            str(tmp_path / "out"), batch_size=4, max_steps=30, logging_steps=5, report_to="none"
        ),
        train_dataset=rows,
        callbacks=[monitor, guard],
    )
    trainer.train()
    assert monitor.summary != "no loss was observed"
    assert guard.events == []


@pytest.mark.slow
def test_rollback_of_a_sentence_transformer(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    datasets = pytest.importorskip("datasets")
    model = tiny_sentence_transformer(tmp_path)
    assert is_contrastive(model)  # so that the monitor says nothing of its LR
    losses = pytest.importorskip("sentence_transformers.losses")
    rows = [{"first": f"w{i % 9} w{i}", "second": f"w{i % 9} w{i + 9}", "score": i % 2 / 1.0} for i in range(30)]
    weights = {}

    class After(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            weights[state.global_step] = {name: each.detach().clone() for name, each in model.named_parameters()}

    guard = LossGuard("rollback", margin=2)
    trainer = scheduled(sentence_transformers.SentenceTransformerTrainer)(
        model=model,
        args=sentence_transformers.SentenceTransformerTrainingArguments(
            str(tmp_path / "out"),
            per_device_train_batch_size=4,
            max_steps=20,
            save_strategy="steps",
            save_steps=4,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        loss=losses.CosineSimilarityLoss(model),
        callbacks=[PoisonLogits(15), guard, After()],
        schedule="hold()",
    )
    trainer.train()
    (event,) = guard.events
    assert event["cause"].endswith("were dropped; back to checkpoint-12")
    assert all(torch.equal(weights[15][name], each) for name, each in weights[12].items())
