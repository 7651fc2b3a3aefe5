"""Names of files, and what is printed of them."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_lrsched.cli.output import print_written, to_file_name


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("rte-large", "rte-large"),
        ("../../etc", "_.._etc"),
        ('a:b*c?"<>|', "a_b_c_____"),
        ("a\nb\x00", "a_b_"),
        (" .hidden. ", "hidden"),
        ("...", "run"),
        ("", "run"),
        ("x" * 300, "x" * 100),
    ],
)
def test_file_names(name, file_name):
    assert to_file_name(name) == file_name


@settings(max_examples=25)
@given(st.text())
def test_a_file_name_stays_in_its_folder(name):
    made = to_file_name(name)
    assert Path("folder", made).parent == Path("folder") and made not in ("", ".", "..") and len(made) <= 100


def test_a_path_that_is_not_unicode_is_printed(capsys):
    print_written(Path("a\udcff.html"))
    printed = capsys.readouterr().out
    assert printed.startswith("wrote a") and printed.endswith(".html\n")
