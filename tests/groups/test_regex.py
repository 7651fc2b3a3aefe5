"""Groups by regular expressions on the parameters' names."""

import pytest
import torch

from hf_lrsched import ScheduleError, regex_groups
from tests.groups.models import SMALL, by_name, make_model


def test_regex_groups(bert):
    rules = {
        "top": {"pattern": r"classifier|pooler", "lr": 1e-3, "weight_decay": 0.1},
        "body": {"pattern": r"encoder", "schedule": "freeze(1ep) >> linear()"},
        "rest": r"embeddings",
    }
    groups = regex_groups(bert, rules, lr=1e-5, weight_decay=0.01)
    found = [(group["name"], group["lr"], group["weight_decay"], group.get("schedule")) for group in groups]
    own = "freeze(1ep) >> linear()"
    assert found == [
        ("top", 1e-3, 0.1, None),
        ("top/no_decay", 1e-3, 0.0, None),
        ("body", 1e-5, 0.01, own),
        ("body/no_decay", 1e-5, 0.0, own),
        ("rest", 1e-5, 0.01, None),
        ("rest/no_decay", 1e-5, 0.0, None),
    ]
    places = by_name(bert, groups, "name")
    assert places.keys() == {name for name, _ in bert.named_parameters()}
    assert {name for name, place in places.items() if place.startswith("body")} == {
        name for name in places if ".encoder." in name
    }
    torch.optim.AdamW(groups)


def test_unset_options_are_left_to_the_optimizer(bert):
    groups = regex_groups(bert, {"all": ""})
    assert [group.keys() for group in groups] == [{"params", "name"}, {"params", "name", "weight_decay"}]
    first, second = torch.optim.AdamW(groups, lr=0.5, weight_decay=0.25).param_groups
    assert (first["lr"], second["lr"], first["weight_decay"], second["weight_decay"]) == (0.5, 0.5, 0.25, 0.0)


INVALID_RULES = {
    "overlap": (
        {"a": "bert", "b": "bert.pooler"},
        r"the groups overlap: 'bert\.pooler\.dense\.weight', .* of 'a' and 'b'",
    ),
    "misses": (
        {"a": "bert"},
        r"^'classifier\.weight', 'classifier\.bias' match no pattern",
    ),
    "many misses": ({"a": "classifier"}, r"'bert\.embeddings.* and 52 more match no pattern"),
    "no match": ({"a": "", "b": "clasifier"}, "the pattern 'clasifier' of group 'b' matches no trained parameter"),
    "no pattern": ({"a": {"lr": 1}}, "group 'a' needs a pattern"),
    "not a pattern": ({"a": "("}, r"the pattern of group 'a' is not a regular expression"),
    "unknown option": (
        {"a": {"pattern": "", "wieght_decay": 0}},
        "unknown option 'wieght_decay'.*Did you mean 'weight_decay'",
    ),
    "duplicate": ([("a", "bert"), ("a", "classifier")], "2 groups are called 'a'"),
    "duplicate by its end": ({"a": "bert", "a/no_decay": "classifier"}, "2 parameter groups are called 'a/no_decay'"),
    "bad lr": ({"a": {"pattern": "", "lr": -1}}, "the lr of group 'a' must be a finite learning rate"),
    "nan lr": ({"a": {"pattern": "", "lr": float("nan")}}, "the lr of group 'a' must be a finite learning rate"),
    "bad decay": ({"a": {"pattern": "", "weight_decay": "x"}}, "the weight_decay of group 'a' must be"),
    "bad schedule": ({"a": {"pattern": "", "schedule": "linaer()"}}, "Did you mean 'linear'"),
    "nothing": ({}, "must be a dict of names and patterns, like"),
    "a list of dicts": ([{"name": "a"}], "must be a dict of names and patterns, like"),
    "no name": ({"": ""}, "the name of a group must be a non-empty string"),
}


@pytest.mark.parametrize("case", INVALID_RULES)
def test_invalid_rules(bert, case):
    rules, message = INVALID_RULES[case]
    with pytest.raises(ScheduleError, match=message):
        regex_groups(bert, rules)


def test_pattern_that_matches_only_a_tied_parameter():
    model = make_model("BertForMaskedLM", "BertConfig", **SMALL)
    with pytest.raises(
        ScheduleError, match=r"It matches 'cls\.predictions\.decoder\.weight'.* tied to a parameter of another name"
    ):
        regex_groups(model, {"a": r"decoder\.weight", "b": ""})
