"""What all plots share: fonts, texts, numbers."""

import warnings

import pytest

pytest.importorskip("matplotlib")
from matplotlib import font_manager

from hf_lrsched.plots import draw_run
from hf_lrsched.plots.style import count_digits, format_lr, plain

HISTORY = [{"step": 1, "loss": 1.0, "learning_rate": 1e-5}, {"step": 2, "loss": 0.5, "learning_rate": 5e-6}]


@pytest.fixture
def without_cjk_fonts(monkeypatch):
    """Only matplotlib's own fonts are listed, and the machine has no others."""
    own = [font for font in font_manager.fontManager.ttflist if "DejaVu" in font.name]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    return own


def test_chinese_names_get_a_font_that_has_them(without_cjk_fonts):
    """Where such a font is installed: here, matplotlib's own plays one."""
    path = font_manager.findfont("DejaVu Sans")
    without_cjk_fonts.append(font_manager.FontEntry(fname=path, name="Noto Sans CJK SC"))
    with pytest.warns(UserWarning, match="has the letters"):
        assert draw_run(HISTORY, title="学习率")._suptitle.get_fontfamily()[-1] == "Noto Sans CJK SC"


def test_a_font_that_is_newer_than_matplotlibs_list_is_found(without_cjk_fonts, monkeypatch):
    path = font_manager.findfont("DejaVu Sans")
    new = font_manager.FontEntry(fname=path, name="WenQuanYi Micro Hei")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: ["/fonts/wqy-microhei.ttc", "/fonts/broken.ttf"])

    def add(file):
        if file == "/fonts/broken.ttf":
            raise RuntimeError("In FT2Font: Could not set the fontsize")
        without_cjk_fonts.append(new)

    monkeypatch.setattr(font_manager.fontManager, "addfont", add)
    assert draw_run(HISTORY, title="学习率")._suptitle.get_fontfamily()[-1] == "WenQuanYi Micro Hei"


def test_one_warning_names_the_letters_that_no_font_has(without_cjk_fonts, tmp_path):
    with pytest.warns(UserWarning, match="has the letters 习学率, which are drawn as boxes") as caught:
        draw_run(HISTORY, tmp_path / "run.png", title="学习率")
    assert [str(each.message) for each in caught if each.category is UserWarning][1:] == []


def test_letters_that_a_font_has_cause_no_warning(without_cjk_fonts):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        draw_run(HISTORY, title="naïve → Ωμέγα … ‖w‖ Ж")


@pytest.mark.parametrize(
    ("lr", "text"), [(5e-5, "5e-5"), (0.5e-4, "5e-5"), (1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (0.0, "0"), (1.0, "1")]
)
def test_an_lr_has_one_digit_before_its_point(lr, text):
    assert format_lr(lr) == text


def test_as_many_digits_as_distinguish_the_lrs():
    assert count_digits([1e-5, 1e-5, 2e-5]) == 3 and count_digits([1.0001e-5, 1.0002e-5]) == 5


def test_a_long_text_is_cut_in_the_middle():
    assert plain("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"
