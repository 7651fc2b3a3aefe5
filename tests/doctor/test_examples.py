"""transformers' documented example commands are sound: no check warns of them, in any form."""

import json

import pytest
import torch
import yaml
from transformers import TrainingArguments

from hf_lrsched import diagnose
from tests.doctor.configurations import write_json

BERT = "google-bert/bert-base-cased"
CLASSES = {"per_device_train_batch_size": 32, "learning_rate": 2e-5, "num_train_epochs": 3, "max_seq_length": 128}
GLUE = {"model_name_or_path": BERT, "do_train": True, "do_eval": True, **CLASSES}
SQUAD = {"dataset_name": "squad", "learning_rate": 3e-5, "max_seq_length": 384, "doc_stride": 128, "do_train": True}
#: Sentences in the training sets of GLUE; MRPC and WNLI were run for 5 epochs.
TASKS = {
    "cola": (8551, 3),
    "sst2": (67349, 3),
    "mrpc": (3668, 5),
    "stsb": (5749, 3),
    "qqp": (363846, 3),
    "mnli": (392702, 3),
    "qnli": (104743, 3),
    "rte": (2490, 3),
    "wnli": (635, 5),
}


def updates(samples, batch, epochs):
    return -(-samples // batch) * epochs


#: By script and data set: the settings of the README's command, and the updates that they come to on one device.
EXAMPLES = {
    **{
        f"run_glue-{task}": (GLUE | {"task_name": task, "num_train_epochs": epochs}, updates(samples, 32, epochs))
        for task, (samples, epochs) in TASKS.items()
    },
    "run_glue-mrpc-as-written": (GLUE | {"task_name": "mrpc"}, updates(3668, 32, 3)),
    "run_glue-mrpc-fp16": (GLUE | {"task_name": "mrpc", "fp16": True}, updates(3668, 32, 3)),
    "run_glue-imdb": (GLUE | {"dataset_name": "imdb", "do_predict": True}, updates(25000, 32, 3)),
    "run_classification-amazon": (
        CLASSES
        | {
            "model_name_or_path": "google-bert/bert-base-uncased",
            "dataset_name": "amazon_reviews_multi",
            "text_column_name": "review_title,review_body,product_category",
            "label_column_name": "stars",
            "shuffle_train_dataset": True,
            "metric_name": "accuracy",
            "num_train_epochs": 1,
        },
        updates(200000, 32, 1),
    ),
    "run_classification-reuters": (
        CLASSES
        | {
            "model_name_or_path": "google-bert/bert-base-uncased",
            "dataset_name": "reuters21578",
            "dataset_config_name": "ModApte",
            "text_column_name": "text",
            "label_column_name": "topics",
            "max_seq_length": 512,
            "num_train_epochs": 15,
        },
        updates(9603, 32, 15),
    ),
    "run_xnli": (
        CLASSES
        | {
            "model_name_or_path": "google-bert/bert-base-multilingual-cased",
            "language": "de",
            "train_language": "en",
            "learning_rate": 5e-5,
            "num_train_epochs": 2.0,
            "save_steps": -1,
        },
        updates(392702, 32, 2),
    ),
    "run_ner": (
        {"model_name_or_path": "google-bert/bert-base-uncased", "dataset_name": "conll2003", "do_train": True},
        updates(14041, 8, 3),
    ),
    "run_qa-squad": (
        SQUAD | {"model_name_or_path": BERT, "per_device_train_batch_size": 12, "num_train_epochs": 2},
        updates(88524, 12, 2),
    ),
    "run_qa_beam_search-squad": (
        SQUAD
        | {
            "model_name_or_path": "xlnet/xlnet-large-cased",
            "per_device_train_batch_size": 4,
            "num_train_epochs": 2,
            "save_steps": 5000,
        },
        updates(88568, 4, 2),
    ),
    "run_qa_beam_search-squad_v2": (
        SQUAD
        | {
            "model_name_or_path": "xlnet/xlnet-large-cased",
            "version_2_with_negative": True,
            "per_device_train_batch_size": 2,
            "num_train_epochs": 4,
            "save_steps": 5000,
        },
        updates(131823, 2, 4),
    ),
    "run_seq2seq_qa-squad_v2": (
        SQUAD
        | {
            "model_name_or_path": "google-t5/t5-small",
            "context_column": "context",
            "question_column": "question",
            "answer_column": "answer",
            "per_device_train_batch_size": 12,
            "num_train_epochs": 2,
        },
        updates(130319, 12, 2),
    ),
}
ARGUMENTS = ("learning_rate", "num_train_epochs", "per_device_train_batch_size", "save_steps", "do_train", "do_eval")
NAMES = pytest.mark.parametrize("name", EXAMPLES)


@NAMES
@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_as_a_file_of_settings(name, kind, tmp_path):
    settings, total = EXAMPLES[name]
    settings = {"output_dir": "/tmp/out", **settings}
    path = tmp_path / f"example.{kind}"
    path.write_text(yaml.safe_dump(settings) if kind == "yaml" else json.dumps(settings))
    assert not [finding for finding in diagnose(path, total) if finding.is_wrong]
    assert {finding.check for finding in diagnose(path)} == {"unknown_length"}  # a note


@NAMES
def test_as_saved_training_arguments(name, tmp_path):
    settings, total = EXAMPLES[name]
    given = {key: value for key, value in settings.items() if key in ARGUMENTS}
    args = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", **given)
    torch.save(args, tmp_path / "training_args.bin")
    path = write_json(tmp_path / "args.json", args.to_dict())
    for saved in (tmp_path / "training_args.bin", path):
        assert not [finding for finding in diagnose(saved, total) if finding.is_wrong]
