"""Names of metrics, and the choice of those that are shown."""

import pytest

from hf_lrsched import ScheduleError
from hf_lrsched.runs.metrics import (
    choose_metrics,
    find_common_metrics,
    find_main_metric,
    require_metric,
    resolve_metric,
)
from tests.plots.drawn import made


def run(*metrics, **more):
    return made(evaluations=[(5, {f"eval_{metric}": 0.5 for metric in metrics})], **more)


TRL = ("loss", "entropy", "num_tokens", "mean_token_accuracy", "rewards/margins")


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([run("loss", "accuracy", "f1")], "eval_accuracy"),
        ([run("loss", "accuracy", "f1", best_metric="f1")], "eval_f1"),
        ([run("loss", "accuracy", best_metric="loss")], "eval_accuracy"),  # the losses have a panel of their own
        ([run("entropy", "loss")], "eval_loss"),
        ([run("entropy", "loss", best_metric="entropy")], "eval_entropy"),
        ([run(*TRL)], "eval_mean_token_accuracy"),
        ([run("rewards/chosen", "rewards/margins", "clip_ratio")], "eval_rewards/margins"),
        ([run("reward", "kl")], "eval_reward"),
        ([run("cosine_ndcg@10")], "eval_cosine_ndcg@10"),
        ([run("entropy")], None),
        ([run()], None),
        ([run("f1"), run("accuracy"), run("accuracy")], "eval_accuracy"),  # the one that most runs have
    ],
)
def test_the_metric_by_which_runs_are_judged(runs, expected):
    assert find_main_metric(runs) == expected


def test_counts_and_times_are_no_metrics():
    assert run("accuracy", "num_tokens", "runtime", "samples_per_second").metrics == ["eval_accuracy"]


def test_the_metrics_of_one_plot():
    assert choose_metrics(run("loss", "f1", "accuracy", best_metric="accuracy")) == ["eval_accuracy", "eval_f1"]
    assert choose_metrics(run("loss")) == ["eval_loss"]
    assert choose_metrics(run("entropy", "loss")) == ["eval_entropy"]
    assert choose_metrics(run("loss", "f1"), ["loss"]) == ["eval_loss"]


def test_common_metrics():
    assert find_common_metrics([run("loss", "f1", "accuracy"), run("accuracy", "loss")]) == [
        "eval_accuracy",
        "eval_loss",
    ]
    assert find_common_metrics([run("entropy", "loss"), run("entropy", "loss")]) == ["eval_loss"]
    assert find_common_metrics([run("f1"), run("accuracy")]) == []


def test_names_with_or_without_eval():
    assert resolve_metric(run("f1"), "f1") == "eval_f1" == resolve_metric(run("f1"), "eval_f1")
    assert resolve_metric(run("f1"), "accuracy") is None is resolve_metric(run("f1"), None)
    assert require_metric([run("f1"), run("accuracy")], "accuracy") == "eval_accuracy"
    with pytest.raises(
        ScheduleError, match=r"no metric 'acuracy' .* of made; there are accuracy\. Did you mean 'accuracy'"
    ):
        require_metric([run("accuracy")], "acuracy")
