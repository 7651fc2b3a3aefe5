"""Text on any standard output."""

import io

import pytest

from hf_lrsched.console import print_text, to_printable

NAMES = "层 学习率 ü → 2e-5"


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", r"\u5c42"), ("cp1252", r"\u5c42"), ("utf-8", "层")])
def test_text_is_printed_in_any_encoding(encoding, shown):
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_text(NAMES, output)
    printed = output.buffer.getvalue().decode(encoding)
    assert printed.startswith(shown) and printed.rstrip().endswith("2e-5")


def test_surrogates_and_unknown_encodings_are_escaped():
    assert to_printable("\udcff a", "utf-8") == r"\udcff a"
    assert to_printable("ü", "no-such-encoding") == r"\xfc"
    assert to_printable("ü", None) == "ü"


def test_output_without_an_encoding():
    output = io.StringIO()
    print_text(NAMES, output)
    assert output.getvalue() == NAMES + "\n"
