"""Libraries of extras: imported, or named with the command that installs them."""

import sys

import pytest

from hf_lrsched.extras import import_extra


def test_module_is_imported():
    assert import_extra("json", "plot", "plots need JSON") is sys.modules["json"]


def test_missing_module_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'plots need matplotlib: pip install "hf-lrsched\[plot\]"'):
        import_extra("matplotlib", "plot", "plots need matplotlib")
