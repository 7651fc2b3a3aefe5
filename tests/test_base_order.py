"""The order of base classes: where the checks of one base would be skipped, the class is refused."""

import pytest

from hf_lrsched.base_order import check_base_order


class Checks: ...


class Arguments: ...


class Other: ...


def make(*bases):
    return type("Mine", bases, {})


@pytest.mark.parametrize("bases", [(Arguments, Checks), (Arguments, Other, Checks), (make(Arguments), Checks)])
def test_the_wrong_order_is_refused_with_the_right_one(bases):
    with pytest.raises(TypeError, match=r"Checks must stand before Arguments, or .*: class Mine\(Checks, ") as error:
        check_base_order(make(*bases), Checks, Arguments, "nothing is checked")
    others = [base.__name__ for base in bases if base is not Checks]
    assert str(error.value).endswith(f"class Mine(Checks, {', '.join(others)}).")


@pytest.mark.parametrize(
    "bases", [(Checks, Arguments), (Other, Checks, Arguments), (Checks,), (make(Checks), Arguments)]
)
def test_the_right_order_and_a_class_without_the_later_base(bases):
    check_base_order(make(*bases), Checks, Arguments, "nothing is checked")
