"""Whatever the text: a schedule, or the one error with a position. Nothing is evaluated, nothing hangs."""

import builtins
import os
import random
import subprocess

import pytest

from hf_lrsched import Schedule, ScheduleError, parse
from hf_lrsched.schedules.registry import NAMES

VALID = [
    "warmup(10%) >> linear()",
    "warmup(500, start=0.1, to=0.5, shape=cosine) >> cosine(to=1%)",
    "warmup(1ep) >> step(every=2ep, factor=0.5)",
    "warmup(2%) >> hold() >> one_minus_sqrt(over=20%)",
    "multistep(at=[1ep, 50%, 300], factor=0.3, to_lr=1e-7)",
    "piecewise(points=[[0, 0], [10%, 1], [2.5ep, 0.1]], shape=cosine)",
    "repeat(warmup(1) >> linear(to=0.1), cycles=3, growth=2, decay=0.5)",
    "floor(cosine(k=2, cycles=1.5) * (hold(5) >> tanh(lb=-3, ub=2)), to_lr=1e-6)",
    "(hold(50000sa) >> rex(d=0.9)) * triangular(up=100, down=1e3tok, decay=0.5, gamma=0.99)",
    "one_cycle(peak_at=0.3, start=4%, shape=linear) >> inverse_sqrt(timescale=50, over=none)",
    "bert(warmup=none, to=10%) * wsd(cooldown=1ep)",
    "exponential(rate=0.5, per=1ep) * power(timescale=5, exponent=0.5)",
    "slanted_triangular(cut=5%, ratio=32) >> cosine_restarts(cycles=4)",
]
WORDS = [
    "to",
    "to_lr",
    "over",
    "start",
    "shape",
    "every",
    "factor",
    "at",
    "points",
    "cycles",
    "growth",
    "none",
    "nan",
    "inf",
]
SIGNS = [*"()[],=*%+-.>_ \n\t", ">>", "()", "=[", "%)", ") >> ", " * "]
NUMBERS = [
    "0",
    "1",
    "-1",
    "0.1",
    "10%",
    "100%",
    "101%",
    "2ep",
    "1e999",
    "1e-999",
    "1e-99999999",
    "0e9999999",
    "9" * 30,
    "5xyz",
    ".5",
    "1e5",
    "7sa",
    "1tok",
    "-0",
    "1e-20ep",
]
STRANGE = [
    "\x00",
    "\u200b",
    "\u00a0",
    "é",
    "λ",
    "Ⅷ",
    "²",
    "٣",
    "１",
    "％",
    "（",
    "\U0001f525",
    "\ud800",
    "\u2028",
    "\ufeff",
    "'",
    '"',
    "\\",
    "`",
    "{",
    "}",
    ";",
    ":",
    "#",
    "$(ls)",
    "__class__",
    "lambda",
    "import os",
]


def a_text(random):
    kind = random.randrange(5)
    if kind == 0:  # a soup of tokens
        tokens = [*NAMES, *WORDS, *SIGNS, *SIGNS, *NUMBERS]
        return "".join(random.choices(tokens, k=random.randrange(25)))
    if kind == 1:  # the same with strange characters
        tokens = [*NAMES, *SIGNS, *NUMBERS, *STRANGE]
        return "".join(random.choices(tokens, k=random.randrange(15)))
    if kind == 2:  # any characters
        return "".join(
            chr(random.choice([random.randrange(128), random.randrange(0x3000), random.randrange(0x110000)]))
            for _ in range(random.randrange(40))
        )
    text = random.choice(VALID)
    if kind == 3:  # a valid one with some characters changed
        for _ in range(random.randrange(1, 5)):
            at = random.randrange(len(text) + 1)
            put = random.choice([*SIGNS, *NUMBERS, *STRANGE, "", "", random.choice(WORDS)])
            text = text[:at] + put + text[at + random.randrange(4) :]
        return text
    # pieces of valid ones, one after another: a few of them are valid again
    other = random.choice(VALID)
    cut, start = random.randrange(len(text) + 1), random.randrange(len(other) + 1)
    return random.choice(
        [text[:cut] + other[start:], f"{text} >> {other}", f"({text}) * {other}", f"repeat({text}, cycles=2)"]
    )


def check(text):
    """Whether it is a schedule; anything but a schedule and the one error ends the test."""
    try:
        made = parse(text)
    except ScheduleError as error:
        assert error.position is not None, text
        assert 0 <= error.position <= len(text), text
        assert error.text == text
        assert error.message
        assert len(str(error)) < 2000
        return False
    assert isinstance(made, Schedule)
    assert parse(str(made)) == made, text
    return True


def check_many(seed, texts):
    source = random.Random(seed)
    valid = sum(check(a_text(source)) for _ in range(texts))
    assert valid > texts // 50, "too few are valid for this to say anything"
    assert valid < texts * 0.9


def test_random_texts():
    check_many(0, 5_000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_200_000_random_texts(seed):
    check_many(seed, 25_000)


@pytest.mark.parametrize("text", VALID)
def test_what_the_mutations_start_from_is_valid(text):
    assert check(text)


@pytest.mark.parametrize("text", VALID)
def test_every_beginning_and_every_gap_of_a_valid_text(text):
    for at in range(len(text)):
        check(text[:at])
        check(text[:at] + text[at + 1 :])
        check(text[:at] + "?" + text[at:])


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "[",
        ")",
        "linear(",
        "linear() >> ",
        "linear() * ",
        "floor(",
        "multistep(at=[",
        "a",
        "1",
        "-",
        ">",
        " ",
        "\n",
        "\x00",
        "é",
        "=",
        ",",
        "to=",
        "9e9",
        "1e",
        "%",
    ],
)
@pytest.mark.parametrize("length", [9_999, 10_001, 1_000_000])
def test_long_texts(unit, length):
    check((unit * (length // len(unit) + 1))[:length])


@pytest.mark.parametrize("digits", [19, 20, 60, 61, 5000])
@pytest.mark.parametrize(
    "where",
    [
        "warmup({})",
        "linear(to={})",
        "linear(to_lr={})",
        "repeat(linear(), cycles={})",
        "multistep(at=[{}])",
        "piecewise(points=[[0, 1], [{0}, {0}]])",
        "{}",
    ],
)
def test_long_numbers(where, digits):
    for number in ("9" * digits, "0." + "0" * digits + "1", "1e" + "9" * digits, "1e-" + "9" * digits, "0" * digits):
        check(where.format(number))
        check(where.format(number + "%"))
        check(where.format("-" + number))


def test_many_phases():
    schedule = parse(" >> ".join(["hold(1)"] * 800))
    assert len(schedule.parts) == 800
    assert schedule.resolve(800)(range(3)).tolist() == [1, 1, 1]


HOSTILE = [
    "__import__('os').system('echo hit')",
    "__import__(os)",
    "__builtins__()",
    "os.system(1)",
    "system(ls)",
    "eval(linear)",
    "exec(linear())",
    "open(x)",
    "print(1)",
    "linear.__class__()",
    "linear(to=__import__(os))",
    "linear(to=exit())",
    "linear(to=lambda)",
    "linear(to=1 if 1 else 2)",
    "linear(to=(1).__class__)",
    "linear(**{})",
    "custom(print)",
    "custom(os)",
    "custom(eval)",
    "custom(function=__import__)",
    "linear(); cosine()",
    "warmup(`id`)",
    "${linear}()",
    "{linear()}",
    "%(linear)s()",
    "linear(to=10**10)",
    "linear(to=1+1)",
    "_Definition()",
    "parse(linear)",
    "register(x, linear())",
    "phase(linear())",
    "named(linear)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_evaluated(text, monkeypatch):
    for function in NAMES.values():  # at its first use typing evaluates the annotations, which are no part of a text
        with pytest.raises(ScheduleError, match="has no argument"):
            function(no_argument=1)

    def refuse(*args, **kwargs):
        raise AssertionError(f"evaluated: {args}")

    for module, name in [
        (builtins, "eval"),
        (builtins, "exec"),
        (builtins, "open"),
        (os, "system"),
        (os, "popen"),
        (subprocess, "Popen"),
    ]:
        monkeypatch.setattr(module, name, refuse)
    with pytest.raises(ScheduleError) as caught:
        parse(text)
    monkeypatch.undo()
    assert caught.value.position is not None


def test_nor_where_a_text_is_right(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError(f"evaluated: {args}")

    for name in ("eval", "exec", "compile", "__import__"):
        monkeypatch.setattr(builtins, name, refuse)
    made = [parse(text) for text in VALID]
    monkeypatch.undo()
    assert [parse(str(schedule)) for schedule in made] == made
