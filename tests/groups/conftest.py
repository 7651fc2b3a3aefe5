"""Models for all tests of groups, and a Trainer on a tiny BERT."""

import pytest
from transformers import Trainer

from hf_lrsched import ScheduledTrainer
from tests.groups.bert_runs import options_of, texts, tiny_bert
from tests.groups.models import MODELS, SMALL, make_model


@pytest.fixture(params=MODELS)
def known_model(request):
    """A model, and the steps below the head of each of its parameters."""
    config, settings, steps = MODELS[request.param]
    model = make_model(request.param, config, **settings)
    below = {}
    for name, _ in model.named_parameters():
        (prefix,) = [prefix for prefix in steps if name.startswith(prefix)]
        below[name] = steps[prefix]
    assert set(below.values()) == set(range(max(steps.values()) + 1))
    return model, below


@pytest.fixture
def bert():
    return make_model("BertForSequenceClassification", "BertConfig", **SMALL)


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
