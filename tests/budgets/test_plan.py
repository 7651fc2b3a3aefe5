"""The plan of a budget search: where budgets branch off, and what is refused."""

import pytest

from hf_lrsched import Horizon, ScheduleError, parse
from hf_lrsched.budgets.plan import check_own_schedules, make_plan

HORIZON = Horizon(300, updates_per_epoch=100, samples_per_update=8)
LINEAR = parse("warmup(10%) >> linear()")


def plan(budgets, own=LINEAR, horizon=HORIZON, **kwargs):
    return make_plan(budgets, horizon, own, **kwargs)


def test_budgets_branch_off_before_their_cooldowns():
    found = plan(["0.5ep", 200, "2400sa"])
    assert [(each.name, each.updates, each.branch_at) for each in found.budgets] == [
        ("0.5ep", 50, 40),
        ("200", 200, 160),
        ("2400sa", 300, 240),
    ]
    assert found.trunk == "warmup(5) >> hold()"
    assert found.budgets[1].schedule == "warmup(5) >> hold() >> one_minus_sqrt(over=40)"
    assert found.updates == 240 + 10 + 40 + 60


@pytest.mark.parametrize(
    ("own", "trunk"),
    [
        ("linear()", "warmup(5, to=0.5) >> hold()"),
        ("warmup(20%, to=0.8, start=0.6) >> linear()", "warmup(10, to=0.4, start=0.3) >> hold()"),
        ("warmup(20%, start=0.1) >> linear()", "warmup(10, to=0.5, start=0.05) >> hold()"),
        ("warmup(20%, to=0, start=1) >> linear()", "warmup(10, to=0, start=0.5) >> hold()"),
        ("warmup(20%, to_lr=1e-4) >> linear()", "warmup(10, to_lr=0.0001) >> hold()"),
    ],
)
def test_the_trunk_holds_a_factor_of_the_peak(own, trunk):
    found = plan(["0.5ep", "1ep"], parse(own), peak=None)
    assert parse(found.trunk) == parse(trunk)
    assert parse(found.budgets[0].schedule) == parse(f"{trunk} >> one_minus_sqrt(over=10)")


@pytest.mark.parametrize("own", ["warmup(5) >> hold()", "warmup(5) >> hold() >> cooldown(20%)"])
def test_a_schedule_that_holds_its_lr_anyway_is_held_as_it_is(own):
    assert plan(["0.5ep", "1ep"], parse(own), peak=None).trunk == "warmup(5) >> hold()"
    assert plan(["0.5ep", "1ep"], schedule="warmup(5) >> hold()", peak=None).trunk == "warmup(5) >> hold()"
    for peak in (0.7, "0.7", "70%"):
        assert plan(["0.5ep", "1ep"], parse(own), peak=peak).trunk == "warmup(5, to=0.7) >> hold()"


@pytest.mark.parametrize(
    "own", ["warmup(5) >> hold(5%) >> linear()", "warmup(5) >> linear(over=80%) >> hold()", "warmup(5) >> cosine()"]
)
def test_a_short_hold_or_one_after_the_decay_is_no_held_lr(own):
    assert plan(["0.5ep", "1ep"], parse(own), peak=None).trunk == "warmup(5, to=0.5) >> hold()"


@pytest.mark.parametrize("peak", [1, "1", "100%"])
def test_a_factor_of_1_scales_nothing(peak):
    assert plan(["0.5ep"], schedule="warmup(5) >> hold()", peak=peak).trunk == "warmup(5) >> hold()"
    own = parse("warmup(5, to_lr=1e-4) >> linear()")
    assert parse(plan(["0.5ep"], own, peak=peak).trunk) == parse("warmup(5, to_lr=1e-4) >> hold()")


def test_what_is_held_is_said_once():
    with pytest.raises(ScheduleError, match="both say which LR is held"):
        plan(["0.5ep"], schedule="warmup(5) >> hold()", peak=0.5)
    with pytest.raises(ScheduleError, match="which climbs to an LR"):
        plan(["0.5ep"], parse("warmup(5, to_lr=1e-4) >> linear()"), peak=0.5)


@pytest.mark.parametrize("peak", [0, -1, "half", float("nan")])
def test_a_peak_is_a_positive_factor(peak):
    with pytest.raises(ScheduleError, match="peak must be a finite number above 0, got"):
        plan(["0.5ep"], peak=peak)


def test_eight_budgets_cost_less_than_half():
    found = plan(",".join(f"{epochs}ep" for epochs in range(1, 9)))
    assert found.updates / sum(budget.updates for budget in found.budgets) == pytest.approx((6.4 + 0.2 * 36) / 36)


@pytest.mark.parametrize("budget", ["1ep", "2ep", "3ep"])
def test_lrs_of_trunk_and_branch_are_the_same_up_to_the_branch(budget):
    found = plan(["1ep", "2ep", "3ep"])
    branch = next(each for each in found.budgets if each.name == budget)
    before = range(branch.branch_at)
    trunk = parse(found.trunk).resolve(found.budgets[-1].branch_at)
    whole = parse(branch.schedule).resolve(branch.updates)
    assert (trunk(before) == whole(before)).all()
    assert whole(branch.updates) == 0


@pytest.mark.parametrize(
    ("own", "schedule", "trunk"),
    [
        ("warmup(20, start=0.1) >> cosine()", None, "warmup(20, start=0.1) >> hold()"),
        ("linear()", None, "warmup(10) >> hold()"),
        ("(warmup(5%) >> linear()) * plateau()", None, "warmup(5) >> hold()"),
        ("plateau() * (warmup(5%) >> linear())", None, "warmup(5) >> hold()"),
        ("hold() * plateau()", None, "warmup(10) >> hold()"),
        ("linear()", "hold()", "hold()"),
        ("linear()", "warmup(20%) >> hold()", "warmup(20) >> hold()"),
        (
            "linear()",
            "warmup(4) >> linear(over=10%, to=0.5) >> hold()",
            "warmup(4) >> linear(to=0.5, over=10) >> hold()",
        ),
    ],
)
def test_trunk(own, schedule, trunk):
    found = plan(["1ep", "2ep"], parse(own), schedule=schedule)
    assert parse(found.trunk) == parse(trunk)
    assert parse(found.budgets[0].schedule) == parse(f"{trunk} >> one_minus_sqrt(over=20)")


def test_cooldown_in_updates_and_its_shape():
    found = plan(["1ep", "2ep"], cooldown=30, shape="linear")
    assert [each.branch_at for each in found.budgets] == [70, 170]
    assert found.budgets[0].schedule.endswith("linear(over=30)")


@pytest.mark.parametrize("shape", ["one_minus_sqrt", "linear", "cosine"])
@pytest.mark.parametrize("budget", [6, 7, 10])
def test_smallest_budgets_end_below_the_lr_that_is_held(shape, budget):
    schedule = parse(plan([budget], shape=shape).budgets[0].schedule)
    factors = schedule.resolve(budget)(range(budget))
    assert factors[-2] == 1 > factors[-1] > 0


@pytest.mark.parametrize(
    ("budgets", "kwargs", "message"),
    [
        ([], {}, "budgets is empty. Give the lengths"),
        (5, {}, r"budgets must be a list of lengths, such as .*, got 5"),
        (None, {}, "budgets must be a list of lengths"),
        (["0ep"], {}, "a budget must be above 0"),
        (["2ep", "1ep"], {}, r"budgets must rise, but 1ep \(100 updates\) follows 2ep \(200\)"),
        (["1ep", 100], {}, "the budgets 1ep and 100 are both 100 updates"),
        (["0.999ep", "1ep"], {}, "the budgets 0.999ep and 1ep are both 100 updates"),
        (["30min"], {}, r"a budget is counted in epochs \(2ep\).*got '30min', whose updates are not known"),
        (["50%"], {}, "got '50%', whose updates are not known"),
        (["1000tok"], {}, "got '1000tok'"),
        (["2 epochen"], {}, "unknown unit"),
        (["10"], {"cooldown": 9}, r"the budget 10 is 10 updates, but warmup\(1\) and its cooldown take 10"),
        (
            ["5", "2ep"],
            {},
            r"the cooldown of the budget 5 \(5 updates\) is 1 update, and the first update of a cooldown still has the LR",
        ),
        (["1ep"], {"cooldown": 1}, "give a cooldown= of 2 updates or more"),
        (["1ep"], {"cooldown": "100%"}, "one update must be held between them"),
        (["1ep"], {"shape": "linaer"}, "shape must be one of .* Did you mean 'linear'"),
        (
            ["1ep"],
            {"schedule": "warmup(10%) >> linear()"},
            r"does not end with hold\(\).*schedule='warmup\(10%\) >> hold\(\)'",
        ),
        (["1ep"], {"schedule": "warmup(10%) >> hold(50)"}, r"does not end with hold\(\)"),
        (["1ep"], {"schedule": "warmup(10%) >> hold() >> linear(over=10%)"}, r"does not end with hold\(\)"),
        (["1ep"], {"schedule": "cosine() >> hold()"}, r"cosine\(\) in schedule=.* has no length of its own"),
    ],
)
def test_invalid_plans(budgets, kwargs, message):
    with pytest.raises(ScheduleError, match=message):
        plan(budgets, **kwargs)


@pytest.mark.parametrize(
    "own", ["freeze()", "hold()", "warmup(50) >> hold()", "(warmup(10) >> hold()) * freeze(0.5ep)"]
)
def test_own_schedules_that_all_budgets_share(own):
    check_own_schedules(plan(["1ep", "2ep"]), HORIZON, [{"lr": 1.0}, {"lr": 1.0, "schedule": own}])


@pytest.mark.parametrize(
    "own", ["linear()", "warmup(10%) >> hold()", "hold() * freeze(20%)", "hold() >> linear(over=50)"]
)
def test_own_schedule_that_depends_on_the_length_of_the_run(own):
    groups = [{"lr": 1.0}, {"lr": 1.0, "schedule": own, "name": "head"}]
    with pytest.raises(
        ScheduleError, match=r"group 'head' has a schedule of its own, .* whose LRs before update 80 depend"
    ):
        check_own_schedules(plan(["1ep", "2ep"]), HORIZON, groups)
    check_own_schedules(plan(["2ep"]), HORIZON, groups)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("1ep", "train_dataset has no length, so an epoch has none"),
        (500, "longer than the data: .* Raise max_steps to 500"),
    ],
)
def test_data_without_a_length(budget, message):
    with pytest.raises(ScheduleError, match=message):
        plan([100, budget], horizon=Horizon(400, samples_per_update=8))
    assert plan([100, 400], horizon=Horizon(400, samples_per_update=8)).budgets[-1].updates == 400
