"""The grammar by examples, and where and how a bad text is refused."""

import pytest

from hf_lrsched import ScheduleError, cosine, hold, linear, multistep, parse, piecewise, repeat, step, wsd
from hf_lrsched import warmup as climb
from hf_lrsched.schedules import Product, Sequence, floor


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("linear()", linear()),
        ("  linear ( ) ", linear()),
        ("\tlinear(\n)\r\n", linear()),
        ("linear(to=1%)", linear(to=0.01)),
        ("linear( to = 1% , over = 2ep )", linear(to=0.01, over="2ep")),
        ("linear(to=1%,)", linear(to=0.01)),
        ("linear(to=.5)", linear(to=0.5)),
        ("linear(to=5.)", linear(to=5)),
        ("linear(to=+0.5)", linear(to=0.5)),
        ("linear(to=5e-1)", linear(to=0.5)),
        ("linear(to=5E-1)", linear(to=0.5)),
        ("linear(over=none)", linear()),
        ("warmup(500)", climb(500)),
        ("warmup(over=500)", climb(500)),
        ("warmup(10%)", climb("10%")),
        ("warmup(0.1)", climb("10%")),
        ("warmup(1ep)", climb("1ep")),
        ("warmup(50000sa)", climb("50000sa")),
        ("warmup(1e6tok)", climb("1000000tok")),
        ("warmup(10%, shape=cosine)", climb("10%", shape="cosine")),
        ("warmup(10%, start=none)", climb("10%")),
        ("((linear()))", linear()),
        ("warmup(10%)>>linear()", climb("10%") >> linear()),
        ("warmup(10%)\n>> hold()\n>> linear(over=10%)", climb("10%") >> hold() >> linear(over="10%")),
        ("(warmup(10%) >> hold()) >> linear(over=10%)", climb("10%") >> hold() >> linear(over="10%")),
        ("warmup(10%) >> (hold() >> linear(over=10%))", climb("10%") >> hold() >> linear(over="10%")),
        # * binds tighter than >>, as in Python
        ("hold(1) >> linear() * cosine()", hold(1) >> (linear() * cosine())),
        ("hold(1) * linear() >> cosine()", (hold(1) * linear()) >> cosine()),
        ("(hold(1) >> linear()) * cosine()", (hold(1) >> linear()) * cosine()),
        ("linear() * (hold(1) >> cosine())", linear() * (hold(1) >> cosine())),
        ("linear() * cosine() * hold()", linear() * cosine() * hold()),
        ("repeat(warmup(1) >> linear(), cycles=3)", repeat(climb(1) >> linear(), cycles=3)),
        ("repeat(schedule=linear(), cycles=3)", repeat(linear(), cycles=3)),
        ("repeat((linear() * cosine()), cycles=3)", repeat(linear() * cosine(), cycles=3)),
        ("floor(repeat(linear(), cycles=2) >> hold(5), to=0.1)", floor(repeat(linear(), cycles=2) >> hold(5), to=0.1)),
        ("multistep(at=[1ep, 2ep])", multistep(at=["1ep", "2ep"])),
        ("multistep( at = [ 100 , 50% , ] )", multistep(at=[100, "50%"])),
        ("piecewise(points=[[0, 1], [50%, 0.1]])", piecewise(points=[[0, 1], ["50%", 0.1]])),
        ("piecewise(points=[[0, 1], [5, 10%]])", piecewise(points=[[0, 1], [5, 0.1]])),
        ("step(every=2ep, factor=0.5)", step(every="2ep", factor=0.5)),
        ("wsd()", wsd()),
        ("wsd(warmup=none)", wsd(warmup=None)),
        ("wsd(cooldown=10%)", climb("5%") >> hold() >> parse("one_minus_sqrt(over=10%)")),
        ("bert() * hold(to=0.5)", (climb("10%") >> linear()) * hold(to=0.5)),
    ],
)
def test_read(text, meant):
    assert parse(text) == meant
    assert parse(str(meant)) == meant


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (climb(0.1) >> linear(), "warmup(10%) >> linear()"),
        (climb("2.50ep") >> cosine(to="1%"), "warmup(2.5ep) >> cosine(to=0.01)"),
        (linear() * cosine() >> hold(1), "linear() * cosine() >> hold(1)"),
        (linear() * (cosine() >> hold(1)), "linear() * (cosine() >> hold(1))"),
        ((linear() >> hold(1)) * (cosine() >> hold(1)), "(linear() >> hold(1)) * (cosine() >> hold(1))"),
        (repeat(climb(1) >> linear(), cycles=2), "repeat(warmup(1) >> linear(), cycles=2)"),
        (multistep(at=["1ep", 0.5]), "multistep(at=[1ep, 50%])"),
        (piecewise(points=[[0, 0], [0.5, 1]]), "piecewise(points=[[0, 0], [50%, 1]])"),
        (linear(to=1e-7), "linear(to=1e-07)"),
        (linear(to=0.1, over=None), "linear(to=0.1)"),
        (climb(10, shape="cosine", start=0.5), "warmup(10, start=0.5, shape=cosine)"),
    ],
)
def test_written(schedule, text):
    assert str(schedule) == repr(schedule) == text


def test_precedence_in_kinds():
    assert isinstance(parse("hold(1) >> linear() * cosine()"), Sequence)
    assert isinstance(parse("(hold(1) >> linear()) * cosine()"), Product)


# text, the character that is blamed (marked by the one after ¦), what the message says
BAD = [
    ("¦", ["expected a schedule such as linear()", "the end of the text"]),
    ("   ¦", ["the end of the text"]),
    ("linear¦", ["expected '(' after linear"]),
    ("linear¦)", ["expected '(' after linear", "')'"]),
    ("linear(¦", ["expected a value"]),
    ("linear(to=¦)", ["expected a value", "')'"]),
    ("linear(to=1¦", ["expected ',' or ')'", "the end of the text"]),
    ("linear(to=1 ¦over=2)", ["expected ',' or ')'", "'over'"]),
    ("linear(¦,)", ["expected a value", "','"]),
    ("linear()¦)", ["expected '>>', '*' or the end of the text", "')'"]),
    ("linear() ¦cosine()", ["expected '>>', '*' or the end of the text", "'cosine'"]),
    ("linear() >>¦", ["expected a schedule such as linear()"]),
    ("¦>> linear()", ["expected a schedule such as linear()", "'>>'"]),
    ("linear() >> ¦>> cosine()", ["'>>'"]),
    ("linear() >> ¦* cosine()", ["'*'"]),
    ("linear() ¦> cosine()", ["'>' has no meaning"]),
    ("linear() ¦+ cosine()", ["'+' has no meaning"]),
    ("linear(to=¦'1%')", ["has no meaning"]),
    ("linear(to=¦$HOME)", ["'$' has no meaning"]),
    ("(linear()¦", ["expected ')'"]),
    ("(¦)", ["expected a schedule such as linear()", "')'"]),
    ("¦500", ["expected a schedule such as linear()", "'500'"]),
    ("¦[linear()]", ["expected a schedule such as linear()", "'['"]),
    # names
    ("¦lineer()", ["unknown schedule 'lineer'", "Did you mean 'linear'?", "Known: bert, cooldown, cosine"]),
    ("¦Linear()", ["unknown schedule 'Linear'", "Did you mean 'linear'?"]),
    ("warmup(10%) >> ¦cosin()", ["unknown schedule 'cosin'", "Did you mean 'cosine'?"]),
    ("¦warm_up(10%) >> linear()", ["Did you mean 'warmup'?"]),
    ("repeat(¦linaer(), cycles=2)", ["Did you mean 'linear'?"]),
    ("¦__import__(os)", ["unknown schedule '__import__'"]),
    # arguments
    ("linear(¦too=1)", ["linear() has no argument 'too'", "allowed are to, to_lr, over", "Did you mean 'to'?"]),
    ("cosine(¦cycle=1)", ["has no argument 'cycle'", "Did you mean 'cycles'?"]),
    ("cosine(to=1%, ¦overr=5)", ["has no argument 'overr'", "Did you mean 'over'?"]),
    ("linear(to=1, ¦to=2)", ["got 'to' twice"]),
    ("warmup(over=5, ¦6)", ["expected a named argument"]),
    ("linear(¦0.1)", ["no argument goes without a name", "0.1", "to, to_lr, over"]),
    ("¦warmup()", ["warmup() needs 'over'"]),
    ("¦step(factor=0.5)", ["step() needs 'every'"]),
    # values
    ("linear(¦to=-1)", ["to of linear()", "at least 0", "-1"]),
    ("linear(¦to=nan)", ["to of linear()", "finite", "'nan'"]),
    ("linear(over=5, ¦to=inf)", ["to of linear()", "finite", "'inf'"]),
    ("linear(¦to=1e999)", ["finite", "1e999"]),
    ("linear(¦to=5ep)", ["to of linear() must be a finite factor", "'5ep'"]),
    ("linear(¦to=cosine())", ["to of linear() must be a finite factor", "cosine()"]),
    ("linear(¦to=[1])", ["to of linear() must be a finite factor"]),
    ("linear(¦to_lr=1%)", ["to_lr of linear() must be a finite learning rate", "1e-6", "'1%'"]),
    ("step(every=1ep, ¦factor=0)", ["factor of step()", "above 0", "got 0"]),
    ("repeat(linear(), cycles=2, ¦decay=1.5)", ["decay of repeat()", "above 0 and at most 1", "'1.5'"]),
    # names and arguments of other libraries, characters of web pages
    ("¦constant()", ["unknown schedule 'constant'. Here it is hold()."]),
    ("warmup(10%) >> ¦cosine_with_restarts()", ["Here it is warmup(...) >> repeat(cosine(), cycles=...)."]),
    ("¦cosine_with_min_lr(min_lr=0)", ["Here it is warmup(...) >> cosine(to_lr=...)."]),
    ("¦reduce_lr_on_plateau()", ["Here it is plateau()."]),
    ("cosine(¦min_lr=1e-6)", ["has no argument 'min_lr'", "Did you mean to_lr=?"]),
    ("warmup(¦steps=500)", ["has no argument 'steps'", "Did you mean over=?"]),
    ("warmup(¦ratio=0.1)", ["has no argument 'ratio'", "Did you mean over=?"]),
    ("warmup(¦num_warmup_steps=100)", ["Did you mean over=?"]),
    ("step(¦steps=5)", ["Did you mean every=?"]),
    ("plateau(¦min_lr=1e-6)", ["Did you mean to=?"]),
    ("linear(¦warmup_steps=100)", ["It is a phase of its own: warmup(10%) >> linear(...)."]),
    ("bert(¦warmup_ratio=0.1)", ["Did you mean warmup=?"]),
    ("one_cycle(¦max_momentum=0.9)", ["It is a phase of its own: one_cycle(...) * momentum()."]),
    ("one_cycle(¦div_factor=25)", ["Did you mean start=?"]),
    ("repeat(cosine(), cycles=3, ¦cycle_decay=0.5)", ["Did you mean peak_decay=?"]),
    ("¦get_linear_schedule_with_warmup()", ["Here it is warmup(...) >> linear()."]),
    ("¦get_cosine_schedule_with_warmup()", ["Here it is warmup(...) >> cosine()."]),
    ("¦get_constant_schedule()", ["Here it is hold()."]),
    ("¦get_wsd_schedule()", ["Did you mean 'wsd'?"]),
    ("¦greedy()", ["Here it is plateau(), which only lowers the LR."]),
    ("warmup(10%) ¦→ linear()", ["Phases are joined by '>>'."]),
    ("warmup(10%) ¦-> linear()", ["Phases are joined by '>>'."]),
    ("linear() ¦× plateau()", ["Factors are joined by '*'."]),
    ("cosine(¦min_lr_ratio=0.1)", ["Did you mean to=?"]),
    ("step(every=1ep, ¦gamma=0.5)", ["Did you mean factor=?"]),
    ("plateau(¦min_delta=0.1)", ["Did you mean threshold=?"]),
    ("warmup¦（10%） >> linear()", ["Write it with ASCII characters: warmup(10%) >> linear()"]),
    ("warmup(10¦％) >> linear()", ["Write it with ASCII characters: warmup(10%) >> linear()"]),
    ("warmup(10%¦，to=1) ＞＞ linear()", ["Write it with ASCII characters: warmup(10%,to=1) >> linear()"]),
    ("¦“warmup(10%) >> linear()”", ["A schedule's text has no quotes."]),
    ("¦'linear()'", ["A schedule's text has no quotes."]),
    ("step(¦every=0, factor=0.5)", ["every of step() must be above 0, got 0"]),
    ("warmup(¦0)", ["over of warmup() must be above 0, got 0", "leave it out"]),
    ("warmup(¦-5)", ["must be above 0, got -5"]),
    ("warmup(¦2.0)", ["ambiguous", "2 (a whole number)", "'2ep'", "'100%'"]),
    ("warmup(¦150%)", ["at most 100%", "'150%'"]),
    ("warmup(¦3epochs)", ["unknown unit 'epochs'", "ep (epochs)", "Did you mean '3ep'?"]),
    ("warmup(¦3steps)", ["unknown unit 'steps'", "Did you mean '3'?"]),
    ("warmup(¦3samples)", ["Did you mean '3sa'?"]),
    ("warmup(¦3tokns)", ["unknown unit 'tokns'", "Did you mean 'tok'?"]),
    ("warmup(¦none)", ["over of warmup() must be a length", "'none'"]),
    ("warmup(¦1e999)", ["out of range"]),
    ("warmup(¦1e-999)", ["1e-999"]),
    ("warmup(¦1e-999999999)", ["1e-999999999"]),
    ("warmup(10%, ¦shape=cosin)", ["shape of warmup() must be one of linear, cosine", "Did you mean 'cosine'?"]),
    ("multistep(¦at=[])", ["at of multistep() must be a list of lengths"]),
    ("multistep(¦at=5)", ["at of multistep() must be a list of lengths", "5"]),
    ("multistep(¦at=[2ep, 1ep])", ["must rise", "2ep before 1ep"]),
    ("multistep(factor=0.1, ¦at=[5, 5])", ["must rise", "5 before 5"]),
    ("multistep(¦at=[5, 6x])", ["at of multistep(), item 2", "unknown unit 'x'"]),
    ("multistep(at=[5 ¦6])", ["expected ',' or ']'"]),
    ("piecewise(¦points=[[0, 1]])", ["2 points or more"]),
    ("piecewise(¦points=[[0, 1], [5]])", ["point 2 must be [time, factor]"]),
    ("piecewise(¦points=[[0, 1], [5, -1]])", ["the factor of points of piecewise(), point 2"]),
    ("piecewise(points=[[0, 1], [5, 0]], ¦shape=cosin)", ["Did you mean 'cosine'?"]),
    ("repeat(linear(), ¦cycles=0)", ["cycles of repeat() must be a whole number of at least 1, got 0"]),
    ("repeat(linear(), ¦cycles=1.5)", ["cycles of repeat() must be a whole number", "1.5"]),
    ("repeat(linear(), cycles=2, ¦growth=0)", ["growth of repeat()", "above 0"]),
    ("repeat(¦5, cycles=2)", ["schedule of repeat() must be a schedule like cosine(), got 5"]),
    ("cosine(¦to=0.1, to_lr=1e-6)", ["has both to=0.1 and to_lr=1e-06", "give one"]),
    ("rex(¦d=1)", ["d of rex()", "below 1"]),
    ("hold(1) >> tanh(¦lb=3, ub=2)", ["lb of tanh() must be below ub"]),
    ("custom(¦nowhere)", ["function of custom()", "'nowhere'"]),
    ("repeat(linear(¦to=-1), cycles=2)", ["to of linear()"]),  # of the inner one
]


@pytest.mark.parametrize(("marked", "said"), BAD, ids=[marked for marked, _ in BAD])
def test_refused_at_the_right_character(marked, said):
    position = marked.index("¦")
    text = marked.replace("¦", "")
    with pytest.raises(ScheduleError) as caught:
        parse(text)
    error = caught.value
    for words in said:
        assert words in error.message
    assert error.position == position
    assert error.text == text
    # As it is printed: the message, the number of the character, the text and a caret under it.
    *_, where, line, caret = str(error).split("\n")
    assert where == f"  at character {position + 1}:"
    assert line == f"    {text}"
    assert caret == " " * (4 + position) + "^"


def test_a_long_text_is_shown_through_a_window():
    text = "linear() >> " * 400 + "lineer() >> " + "linear() >> " * 400 + "linear()"
    with pytest.raises(ScheduleError) as caught:
        parse(text)
    assert caught.value.position == text.index("lineer")
    *_, line, caret = str(caught.value).split("\n")
    assert len(line) < 120
    assert line[caret.index("^") :].startswith("lineer()")


def test_line_breaks_do_not_move_the_caret():
    with pytest.raises(ScheduleError) as caught:
        parse("warmup(10%)\n>> lineer()")
    *_, line, caret = str(caught.value).split("\n")
    assert line[caret.index("^") :].startswith("lineer()")


@pytest.mark.parametrize("given", [None, 5, b"linear()", ["linear()"], linear()])
def test_what_is_no_text(given):
    with pytest.raises(ScheduleError, match=f"must be a str, got {type(given).__name__}"):
        parse(given)


def test_too_long():
    with pytest.raises(ScheduleError, match="at most 10,000 characters, got 1,000,000") as caught:
        parse("x" * 1_000_000)
    assert caught.value.position == 10_000
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("depth", [33, 200, 4000])
@pytest.mark.parametrize(("opening", "closing", "head"), [("(", ")", 0), ("[", "]", len("multistep(at="))])
def test_too_deep(depth, opening, closing, head):
    core = "linear()" if opening == "(" else "1"
    text = "multistep(at="[:head] + opening * depth + core + closing * depth + ")" * bool(head)
    with pytest.raises(ScheduleError, match="nested at most 32 deep") as caught:
        parse(text)
    assert head <= caught.value.position <= head + 33


def test_nested_calls_are_counted_too():
    with pytest.raises(ScheduleError, match="nested at most 32 deep"):
        parse("floor(" * 40 + "linear()" + ")" * 40)


def test_as_deep_as_is_allowed():
    assert parse("(" * 31 + "linear()" + ")" * 31) == linear()


@pytest.mark.parametrize(("text", "position"), [("linear(too=1)", 7), ("hold() * lineer()", 9)])
def test_the_error_travels(text, position):
    import copy
    import pickle

    with pytest.raises(ScheduleError) as caught:
        parse(text)
    for other in (pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):
        assert (other.message, other.text, other.position) == (caught.value.message, text, position)
        assert type(other) is type(caught.value)
        assert str(other) == str(caught.value)
    assert isinstance(caught.value, ValueError)
