"""scheduled(): any subclass of Trainer, with a schedule."""

import pytest
from transformers import Seq2SeqTrainer, Trainer, TrainingArguments

from hf_lrsched import ScheduledTrainer, ScheduleMixin, scheduled


class MyTrainer(ScheduleMixin, Trainer):
    pass


def test_scheduled_makes_each_class_once():
    made = scheduled(Seq2SeqTrainer)
    assert scheduled(Seq2SeqTrainer) is made
    assert scheduled(made) is made
    assert scheduled(MyTrainer) is MyTrainer
    assert scheduled(ScheduledTrainer) is ScheduledTrainer
    assert issubclass(made, ScheduleMixin) and issubclass(made, Seq2SeqTrainer)
    assert made.__name__ == "ScheduledSeq2SeqTrainer"


@pytest.mark.parametrize("other", [int, "Trainer", None, TrainingArguments])
def test_scheduled_takes_trainers_only(other):
    with pytest.raises(TypeError, match=r"subclass of transformers\.Trainer"):
        scheduled(other)
