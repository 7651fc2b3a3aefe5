"""ScheduleArguments: the schedule on a command line, in YAML, and as a base of the training arguments."""

import json
from dataclasses import dataclass

import pytest
from transformers import HfArgumentParser, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_lrsched import ScheduleArguments, ScheduleError


@dataclass
class Args(ScheduleArguments, TrainingArguments):
    pass


BESIDE = (ScheduleArguments, TrainingArguments)


@pytest.fixture(params=[BESIDE, Args], ids=["beside", "extended"])
def parser(request):
    return HfArgumentParser(request.param)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("warmup(10%) >> linear()", "warmup(10%) >> linear()"),
        ("warmup( 0.1 )>>cosine(to=1%)", "warmup(10%) >> cosine(to=0.01)"),
    ],
)
def test_command_line(parser, tmp_path, written, meant):
    parsed = parser.parse_args_into_dataclasses(["--schedule", written, "--output_dir", str(tmp_path)])
    assert (parsed[0].schedule, parsed[-1].output_dir) == (meant, str(tmp_path))


def test_command_line_without_a_schedule(parser, tmp_path):
    assert parser.parse_args_into_dataclasses(["--output_dir", str(tmp_path)])[0].schedule is None


@pytest.mark.parametrize("form", ["yaml", "json", "dict"])
def test_configuration_files(parser, tmp_path, form):
    fields = {"schedule": "warmup(1ep) >> step(every=2ep, factor=0.5)", "output_dir": str(tmp_path)}
    file = tmp_path / f"config.{form}"
    if form == "dict":
        parsed = parser.parse_dict(fields)
    elif form == "json":
        file.write_text(json.dumps(fields), encoding="utf-8")
        parsed = parser.parse_json_file(str(file))
    else:
        file.write_text("".join(f"{key}: {value}\n" for key, value in fields.items()), encoding="utf-8")
        parsed = parser.parse_yaml_file(str(file))
    assert parsed[0].schedule == "warmup(1ep) >> step(every=2ep, factor=0.5)"


@pytest.mark.parametrize("bad", ["warmpu(10%) >> linear()", "warmup(10%) >>", "", "warmup(0) >> linear()"])
def test_an_invalid_text_is_refused_when_it_is_parsed(parser, tmp_path, bad):
    with pytest.raises(ScheduleError):
        parser.parse_args_into_dataclasses(["--schedule", bad, "--output_dir", str(tmp_path)])
    with pytest.raises(ScheduleError):
        parser.parse_dict({"schedule": bad, "output_dir": str(tmp_path)})


def test_help(parser, capsys):
    with pytest.raises(SystemExit) as end:
        parser.parse_args_into_dataclasses(["--help"])
    assert end.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--schedule" in shown and "warmup(10%) >> linear()" in shown


def test_training_arguments_with_a_schedule_keep_their_checks(training_args):
    assert training_args(Args, eval_strategy="epoch").eval_strategy is IntervalStrategy.EPOCH
    with pytest.raises(ValueError, match="fortnight"):
        training_args(Args, eval_strategy="fortnight")


def test_the_schedule_is_saved_as_text(training_args):
    args = training_args(Args, schedule="warmup( 0.1 ) >> linear()")
    assert json.loads(args.to_json_string())["schedule"] == "warmup(10%) >> linear()"
