"""The report in a real browser: it draws, shows values, zooms, obeys the keyboard, and loads nothing."""

import re
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hf_lrsched.report import write_report
from hf_lrsched.runs import read_run
from tests.plots.drawn import write_state

playwright = pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
#: Without these the browser itself asks its maker's servers.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]

DESKTOP = {"viewport": {"width": 1200, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}

LEFT, RIGHT, WIDTH = 62, 14, "document.getElementById('chart').clientWidth"
RANGE = "document.getElementById('chart').layout.xaxis.range"


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield made
        made.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, trained, ugly, huge):
    """The pages' addresses by their names."""
    folder, (runs, _) = tmp_path_factory.mktemp("pages"), trained
    wanted = {name: [runs / name] for name in ("plateau", "cooldown", "resumed", "stock")}
    wanted |= {
        "several": [runs / name for name in wanted],
        "measured": [runs / "measured"],
        "two measured": [runs / "measured", runs / "plateau"],
        "ugly": [ugly],
        "huge": [huge],
        "mixed": [ugly, runs / "plateau"],
        "one record": [write_state(folder / "one", [{"step": 5, "loss": 0.5, "learning_rate": 1e-5, "epoch": 1.0}])],
    }
    constant = [{"step": step, "epoch": step / 5, "eval_accuracy": 1.0, "eval_loss": 0.0} for step in (5, 10)]
    wanted["constant"] = [write_state(folder / "constant", constant)]
    for name, folders in wanted.items():
        write_report([read_run(each) for each in folders], folder / f"{name}.html")
    return {name: (folder / f"{name}.html").as_uri() for name in wanted}


@pytest.fixture
def opened(browser, pages):
    """`with opened("plateau", …) as page`: the console must be empty and nothing requested when it closes."""

    @contextmanager
    def make(name, **options):
        context = browser.new_context(**DESKTOP | options)
        page = context.new_page()
        page.set_default_timeout(120_000)
        shown, asked = [], []
        page.on("console", lambda message: shown.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: shown.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (shown.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(pages[name])
        page.wait_for_selector("#chart .trace", state="attached")
        yield page
        context.close()
        assert shown == []
        assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [pages[name]]

    return make


@pytest.fixture
def listener():
    """A server on this machine: its address, and what was asked of it."""
    calls = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self):
            calls.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>here</title><link rel=icon href=data:,>")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", calls
        server.shutdown()


def pixel_of(page, update):
    """Where an update lies on the screen, from the axis that is shown."""
    low, high = page.evaluate(RANGE)
    width = page.evaluate(WIDTH) - LEFT - RIGHT
    return page.locator("#chart").bounding_box()["x"] + LEFT + (update - low) / (high - low) * width


def height_of(page, share):
    box = page.locator("#chart").bounding_box()
    return box["y"] + share * box["height"]


def hover(page, update):
    page.locator("#chart").scroll_into_view_if_needed()
    page.mouse.move(pixel_of(page, update), height_of(page, 0.2))  # within the first panel, however many there are
    page.wait_for_selector("#tip", state="visible")
    rows = page.locator("#tip tr").all()
    return page.locator("#tip strong").inner_text(), [row.locator("td").all_inner_texts() for row in rows]


def drag(page, start, end):
    page.locator("#chart").scroll_into_view_if_needed()
    page.mouse.move(pixel_of(page, start), height_of(page, 0.2))
    page.mouse.down()
    page.mouse.move(pixel_of(page, end), height_of(page, 0.2), steps=8)
    page.mouse.up()
    page.wait_for_function(f"{RANGE}[0] > {start} - 1 && {RANGE}[1] < {end} + 1")


def drawn(page, panel):
    """The lines of a panel, from above, as the browser has drawn them: their widths and heights."""
    name = "xy" if panel == 0 else f"xy{panel + 1}"
    paths = page.locator(f"#chart .subplot.{name} .scatterlayer .trace path.js-line").all()
    boxes = [path.bounding_box() for path in paths]
    return [size for box in boxes for size in (box["width"], box["height"])]


@pytest.mark.parametrize(
    ("name", "lines"),
    [("plateau", 5), ("cooldown", 4), ("stock", 4), ("several", 17), ("ugly", 8), ("huge", 17), ("mixed", 12)],
)
def test_it_draws(opened, name, lines):
    with opened(name) as page:
        page.wait_for_function("document.querySelectorAll('#chart path.js-line').length > 0")
        # Metric, training loss, validation loss and the LRs of the groups that have their own.
        assert page.locator("#chart path.js-line").count() == lines
        assert all(width > 0 for panel in range(3) for width in drawn(page, panel)[::2])
        assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def test_a_run_of_one_record_is_drawn_as_points(opened):
    with opened("one record") as page:
        assert page.locator("#chart .trace .point").count() == 2
        assert page.locator("#legend li").all_inner_texts() == ["training loss", "LR"]


def test_axis_of_a_metric_that_never_changes(opened):
    with opened("constant") as page:
        low, high = page.evaluate("document.getElementById('chart').layout.yaxis.range")
        assert (low, high) == pytest.approx((0.9, 1.1))


def test_the_first_updates_lr_is_drawn_from_its_beginning(opened):
    with opened("plateau") as page:
        line = page.locator("#chart .subplot.xy3 .scatterlayer .trace path.js-line").first
        path = line.bounding_box()  # with the line's width
        assert path["x"] == pytest.approx(pixel_of(page, 0), abs=5)
        assert path["x"] + path["width"] == pytest.approx(pixel_of(page, 24), abs=5)


def test_under_the_pointer_stand_the_values(opened):
    with opened("plateau") as page:
        heading, rows = hover(page, 12)
        assert heading.startswith("update 12 · epoch 2 · linear()")
        values = dict(rows)
        # Update 12 is t = 11: 1 - 7/20 of the peaks.
        assert values["accuracy"] == "0.5"
        assert (values["LR head"], values["LR body"]) == ("0.0026", "6.5e-4")
        assert "plateau: eval_accuracy 0.5, the best was 0.625" in page.locator("#tip").inner_text()
        # Between the evaluations the nearest one is shown, with its update; the LR is that of the update itself.
        heading, rows = hover(page, 13)
        assert heading.startswith("update 13 · epoch 2.1667")
        assert dict(rows)["accuracy"] == "0.5 (update 12)"
        assert dict(rows)["LR head"] == "0.0012"  # 4e-3 * (1 - 8/20) / 2
        page.mouse.move(5, 5)
        assert page.locator("#tip").is_hidden()


def test_the_sizes_of_updates_have_a_panel_of_their_own(opened):
    with opened("measured") as page:
        assert "size of the update / size of the weights" in page.locator("#chart .annotation-text").all_text_contents()
        assert len(drawn(page, 3)) == 4  # two lines
        before = drawn(page, 3)
        drag(page, 6, 12)
        assert drawn(page, 3)[0] > 2 * before[0]
        page.get_by_role("button", name="whole run").click()
        _, rows = hover(page, 12)
        shown = dict(rows)
        assert re.fullmatch(r"[\d.e-]+", shown["update / weights body"]) and "update / weights head" in shown
        assert hover(page, 13)[1][-1][1].endswith("(update 12)")
        page.locator("#groups").select_option(label="head")
        assert len(drawn(page, 3)) == 2
    with opened("two measured") as page:
        assert len(drawn(page, 3)) == 4
        page.get_by_role("checkbox", name="measured").uncheck()
        assert len(drawn(page, 3)) == 0


def test_values_of_several_runs_beside_each_other(opened):
    with opened("several") as page:
        heading, (head, *rows) = hover(page, 18)
        assert heading == "update 18"
        assert head == ["", "accuracy", "validation loss", "training loss", "LR"]
        shown = {row[0]: row[1:] for row in rows}
        assert shown["plateau"][0] == "0.875" and shown["plateau"][3] == "7e-4"  # 4e-3 * (1 - 13/20) / 2
        assert shown["cooldown"] == ["–"] * 4  # over since update 15


def test_a_drag_zooms_all_panels(opened):
    with opened("plateau") as page:
        before = [drawn(page, panel) for panel in range(3)]
        drag(page, 6, 12)
        low, high = page.evaluate(RANGE)
        assert (low, high) == pytest.approx((6, 12), abs=0.3)
        after = [drawn(page, panel) for panel in range(3)]
        for panel in range(3):
            assert after[panel][0] > 2 * before[panel][0]
        assert hover(page, 9)[0].startswith("update 9 ")
        assert dict(hover(page, 9)[1])["accuracy"] == "0.625"
        page.get_by_role("button", name="whole run").click()
        assert page.evaluate(RANGE) == pytest.approx([-0.24, 24.24])
        assert [drawn(page, panel) for panel in range(3)] == [pytest.approx(sizes, abs=0.1) for sizes in before]


def test_buttons_zoom_and_move(opened):
    with opened("stock") as page:
        page.get_by_role("button", name="zoom in").click()
        assert page.evaluate(RANGE) == pytest.approx([5.88, 18.12])
        page.get_by_role("button", name="later").click()
        assert page.evaluate(RANGE) == pytest.approx([12, 24.24])
        page.get_by_role("button", name="zoom out").click()
        assert page.evaluate(RANGE) == pytest.approx([-0.24, 24.24])


def test_the_keyboard(opened):
    with opened("plateau") as page:
        readout = page.locator("#readout")
        for _ in range(30):  # from control to control, until the chart is in focus
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "chart":
                break
        assert page.evaluate("document.activeElement.id") == "chart"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("ArrowRight")
        assert readout.inner_text().startswith("update 3, epoch 0.5: accuracy 0.5; ")
        page.keyboard.press("ArrowRight")
        text = readout.inner_text()
        assert text.startswith("update 6, epoch 1: accuracy 0.625; ")
        assert "LR head 0.0038; LR body 9.5e-4" in text and "phase linear()" in text  # 1 - 1/20 of the peaks
        line = page.locator("#cursor").bounding_box()
        assert line["x"] + line["width"] / 2 == pytest.approx(pixel_of(page, 6), abs=2)
        page.keyboard.press("End")
        assert readout.inner_text().startswith("update 24,")
        assert "plateau: eval_accuracy 0.75" in readout.inner_text()
        page.keyboard.press("ArrowLeft")
        assert readout.inner_text().startswith("update 21,")
        page.keyboard.press("+")
        low, high = page.evaluate(RANGE)
        assert high - low == pytest.approx(12.24) and low < 21 < high
        page.keyboard.press("Home")  # the view follows the cursor
        low, high = page.evaluate(RANGE)
        assert readout.inner_text().startswith("update 3,") and low < 3 < high
        page.keyboard.press("-")
        page.keyboard.press("0")
        assert page.evaluate(RANGE) == pytest.approx([-0.24, 24.24])


def test_choices(opened):
    with opened("ugly") as page:
        titles = page.locator("#chart .annotation-text")
        # Plotly's titles hold what the run calls its metric, letter by letter.
        assert "</script><script>alert(2)</script>" in titles.all_text_contents()
        page.locator("#metric").select_option(label="<img src=x onerror=alert(1)>")
        assert "<img src=x onerror=alert(1)>" in titles.all_text_contents()
        assert dict(hover(page, 50)[1])["<img src=x onerror=alert(1)>"] == "1"
        page.locator("#groups").select_option(label="<img src=x onerror=alert(1)>")
        assert page.locator("#chart path.js-line").count() == 4
        page.locator("#log").check()
        assert page.evaluate("document.getElementById('chart').layout.yaxis3.type") == "log"
        shaded = page.locator("#chart .shapelayer path").count()
        page.locator("#phases").select_option(label="hidden")
        assert page.locator("#chart .shapelayer path").count() == shaded - 2


def test_runs_can_be_hidden_and_the_metric_of_the_comparison_chosen(opened):
    with opened("mixed") as page:
        assert page.locator("#comparison th").nth(1).inner_text() == "best </script><script>alert(2)</script>"
        page.locator("#metric").select_option(label="accuracy")
        assert page.locator("#comparison th").nth(1).inner_text() == "best accuracy"
        cells = page.locator("#comparison tbody tr").nth(1).locator("td").all_inner_texts()
        assert cells[1:4] == ["0.875", "18", "0.75"]
        lines = page.locator("#chart path.js-line")
        assert lines.count() == 12
        page.get_by_role("checkbox", name="<img src=x onerror=alert(1)>").uncheck()
        assert lines.count() == 5


def test_markup_of_a_run_is_text_everywhere(opened):
    with opened("ugly") as page:
        names = [cells[0] for cells in hover(page, 50)[1]]
        assert {"</script><script>alert(2)</script>", 'LR <a href="javascript:alert(3)">eval</a>'} <= set(names)
        assert "LR $x$ & 'quotes' \"double\" `${3}` %{y}" in names
        legend = page.locator("#legend li").all_inner_texts()
        assert "LR <img src=x onerror=alert(1)>" in legend
        page.locator("#chart").focus()
        page.keyboard.press("ArrowRight")
        assert "</script><script>alert(2)</script> 0.1" in page.locator("#readout").inner_text()
        assert page.locator("img, a, iframe, object, embed").count() == 0
        assert page.evaluate("document.scripts.length") == 3


def test_the_policy_blocks_injected_markup(browser, pages, listener):
    """If a text of a run became markup after all: it could neither run nor call anyone."""
    address, calls = listener
    page = browser.new_page()
    page.goto(pages["stock"])
    page.evaluate(
        """address => {
            document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="window.hit = 1">');
            document.body.insertAdjacentHTML('beforeend', `<img src="${address}/picture">`);
            document.body.insertAdjacentHTML('beforeend', `<link rel="stylesheet" href="${address}/style">`);
            document.body.insertAdjacentHTML('beforeend', `<iframe src="${address}/frame"></iframe>`);
            const script = document.createElement('script');
            script.textContent = 'window.hit = 2';
            document.body.append(script);
            return fetch(`${address}/data`).catch(() => null);
        }""",
        address,
    )
    page.wait_for_timeout(500)
    assert page.evaluate("window.hit") is None
    assert calls == []
    page.goto(f"{address}/to-see-that-it-listens")
    assert calls == ["/to-see-that-it-listens"]
    page.close()


def test_dark_and_light(opened):
    """By the page's own colours: the chart's follow when the system's setting changes."""

    def colours(page):
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        paper = page.locator("#chart .main-svg").first.evaluate("each => getComputedStyle(each).backgroundColor")
        words = page.locator("#chart .xtick text").first.evaluate("each => getComputedStyle(each).fill")
        return [sum(map(int, re.findall(r"\d+", each)[:3])) / 3 for each in (ground, paper, words)]

    with opened("plateau", color_scheme="dark") as page:
        ground, paper, words = colours(page)
        assert ground < 60 and paper < 60 and words > 120
        in_dark = page.screenshot()
        drag(page, 6, 12)
        page.emulate_media(color_scheme="light")
        ground, paper, words = colours(page)
        assert ground > 220 and paper > 220 and words < 120
        assert page.evaluate(RANGE) == pytest.approx([6, 12], abs=0.3)  # the view stays
        assert page.screenshot() != in_dark


def test_on_paper(opened):
    with opened("several", color_scheme="dark") as page:
        assert page.locator("details[open]").count() == 0
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details[open]").count() == 4
        paper = page.locator("#chart .main-svg").first.evaluate("each => getComputedStyle(each).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0


@pytest.mark.parametrize("name", ["plateau", "several", "ugly", "huge", "mixed"])
def test_on_a_phone(opened, name):
    with opened(name, **PHONE) as page:
        for details in page.locator("details summary").all():
            details.tap()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.evaluate("document.getElementById('chart').scrollIntoView()")
        page.touchscreen.tap(200, 300)
        page.wait_for_selector("#tip", state="visible")
        box = page.locator("#tip").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360
        inner = page.locator("#tip table").bounding_box()
        assert inner["x"] + inner["width"] <= box["x"] + box["width"] + 1  # nothing is cut off
        # A note may have names of any length.
        page.evaluate("document.querySelectorAll('.note').forEach(note => (note.textContent += 'x'.repeat(300)))")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_no_line_of_an_event_crosses_the_title_of_a_panel(opened):
    with opened("plateau", **PHONE) as page:
        titles = page.locator("#chart .annotation", has_text=re.compile("^(accuracy|loss|learning rate used)$"))
        boxes = [title.locator("rect.bg") for title in titles.all()]
        assert len(boxes) == 3
        assert {box.evaluate("box => getComputedStyle(box).fillOpacity") for box in boxes} == {"1"}


def test_a_finger_scrolls_over_the_chart(opened):
    with opened("plateau", **PHONE) as page:
        box, touches = page.locator("#chart").bounding_box(), page.context.new_cdp_session(page)

        def touch(kind, *points):
            touches.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": 180, "y": y} for y in points]}
            )

        touch("touchStart", box["y"] + 250)
        for y in range(230, 40, -20):
            touch("touchMove", box["y"] + y)
        touch("touchEnd")
        page.wait_for_function("scrollY > 50")
        assert page.evaluate(RANGE) == pytest.approx([-0.24, 24.24])


def test_a_plot_is_saved(opened):
    with opened("plateau") as page:
        with page.expect_download() as waited:
            page.get_by_role("button", name="save plot").click()
        assert waited.value.suggested_filename.endswith(".png")
        with waited.value.path().open("rb") as file:
            assert file.read(8) == b"\x89PNG\r\n\x1a\n"


def test_without_javascript_the_tables_are_there(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["plateau"])
    assert "needs JavaScript" in page.locator("noscript").inner_text()
    assert page.locator("#interactive").is_hidden()
    assert page.get_by_role("cell", name="eval_accuracy 0.5, the best was 0.625").is_visible()
    context.close()
