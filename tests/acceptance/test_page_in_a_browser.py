"""The page in Chromium: no error, no request, and everything that an operator does with it."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from page_data import CALIB, MISSING, RAW, make_ledger, write_site
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

SERIOUS = ("serious", "critical")
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}
LONGEST_FIRST_PAINT = 1000.0
HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'


@dataclass
class View:
    """A page in a browser, with what it must not have: messages of the console, and requests."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path | str) -> Page:
        self.page.goto(path.as_uri() if isinstance(path, Path) else path)
        if self.page.locator("#timeline, .heat-map").count():
            self.page.wait_for_selector("html[data-drawn]")
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = os.environ.get("RECONCILE_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("these tests need Chromium; install it with `make browser`, or set RECONCILE_BROWSER to its path")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a state that differs in every way."""
    return write_site(tmp_path_factory.mktemp("site"))


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[View]:
    """Open a browser that refuses all requests but those of the local files, and fail if there was one, or an error."""
    context: BrowserContext = browser.new_context(**{"viewport": DESKTOP, **options})
    view = View(context.new_page())
    view.page.on("console", lambda message: view.messages.append(f"{message.type}: {message.text}"))
    view.page.on("pageerror", lambda error: view.messages.append(f"error: {error}"))
    view.page.on("dialog", lambda dialog: view.messages.append(f"dialog: {dialog.message}"))

    def decide(route: Any) -> None:
        url = route.request.url
        if url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
            route.continue_()
        else:
            route.abort()
        view.requests.append(url)

    context.route("**/*", decide)
    yield view
    context.close()
    assert view.messages == []
    outside = [url for url in view.requests if not re.match(r"(file:.*|http://127\.0\.0\.1:\d+/[^/]*)\.html(#.*)?$", url)]
    assert outside == []


@pytest.fixture
def open_view(browser: Browser) -> Iterator[Callable[..., View]]:
    """Open a view that is checked for errors and requests at the end of the test."""
    managers = []

    def start(**options: Any) -> View:
        manager = watched(browser, **options)
        managers.append(manager)
        return manager.__enter__()

    yield start
    for manager in managers:
        manager.__exit__(None, None, None)


def select_cell(page: Page, night: int, detector: int) -> None:
    """Click the cell of a heat map."""
    box = page.locator(".heat-map").bounding_box()
    assert box is not None
    x, y = page.evaluate(
        "([x, y]) => document.querySelector('.heat-map').chart.convertToPixel({xAxisIndex: 0, yAxisIndex: 0}, [x, y])",
        [night, detector],
    )
    page.locator(".heat-map").click(position={"x": x, "y": y})


def test_the_test_sees_a_request_and_an_error(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text('<!doctype html><img src="http://192.0.2.1/x.png"><script>undefinedName()</script>')
    with pytest.raises(AssertionError, match="undefinedName"), watched(browser) as view:
        view.open(page)
    assert "http://192.0.2.1/x.png" in view.requests


def test_the_filters_hide_differences_and_count_those_shown(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view().open(site)
    shown = page.locator("article.difference:visible")
    expect(shown).to_have_count(6)
    page.get_by_label("Filter").fill("MISSINGSOURCE")
    expect(shown).to_have_count(1)
    expect(page.locator("#shown")).to_have_text("1 of 6 shown")
    page.get_by_label("Filter").fill("")
    page.get_by_role("checkbox", name="drifted").uncheck()
    expect(shown).to_have_count(4)
    expect(page.get_by_role("heading", name="Drifted")).to_be_hidden()


def test_the_index_is_filtered_by_verdict_and_leads_to_a_state_and_back(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view().open(site.parent / "index.html")
    expect(page.locator("tbody tr:visible")).to_have_count(3)
    page.get_by_role("checkbox", name="in sync").uncheck()
    expect(page.locator("tbody tr:visible")).to_have_count(2)
    page.get_by_role("link", name="ccms1").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("unknown ccms1")
    page.get_by_role("link", name="All states").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("States")


def test_the_tree_folds_and_leads_to_a_difference_even_if_a_filter_hides_it(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view().open(site)
    leaf = page.locator("#tree .leaf:visible", has_text="LSSTComCam/raw/all")
    expect(leaf).to_have_count(1)
    page.get_by_role("button", name="Collapse all").click()
    expect(leaf).to_have_count(0)
    page.locator("#tree summary", has_text="LSSTComCam/defaults").focus()
    page.keyboard.press("Enter")
    expect(leaf).to_have_count(1)
    page.get_by_role("button", name="Expand all").click()
    expect(page.locator("#tree .leaf:visible", has_text="LSSTComCam/calib/unbounded")).to_have_count(1)
    page.get_by_label("Only what differs").check()
    expect(page.locator("#tree .leaf:visible", has_text="LSSTComCam/calib/unbounded")).to_have_count(0)
    page.get_by_label("Filter").fill("nothing has this text")
    page.locator("#tree").get_by_role("link", name="difference of LSSTComCam/raw/all").click()
    expect(page.locator("article:visible", has_text="raws: 12 of 148,845 missing")).to_be_in_viewport()


def test_a_cell_opens_its_missing_exposures(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view().open(site)
    select_cell(page, 7, 3)
    details = page.locator(".cell-details")
    expect(details).to_contain_text("night 20241031, detector 3")
    expect(details).to_contain_text("delivered but not ingested; in Rucio 562, in the Butler 559, on storage not checked")
    expect(details.locator("li")).to_have_text([f"CC_O_20241031_{number:06}" for number in range(3)])
    expect(details).to_be_focused()
    page.get_by_label("Only nights with problems").check()
    select_cell(page, 1, 0)
    expect(details).to_contain_text("night 20241108, detector 0")


def test_the_cells_are_reached_from_the_keyboard_and_announced(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view().open(site)
    page.locator(".heat-map").focus()
    announcement = page.locator("#announcement")
    page.keyboard.press("PageDown")
    expect(announcement).to_have_text("night 20241031, detector 3: delivered but not ingested")
    page.keyboard.press("PageDown")
    expect(announcement).to_have_text("night 20241031, detector 4: delivered but not ingested")
    page.keyboard.press("ArrowRight")
    expect(announcement).to_have_text("night 20241101, detector 4: in agreement")
    page.keyboard.press("PageUp")
    page.keyboard.press("Enter")
    expect(page.locator(".cell-details")).to_contain_text("night 20241031, detector 4")


def test_a_night_of_the_table_opens_all_its_cells(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view().open(site)
    page.get_by_text("Nights with problems: 3").click()
    page.get_by_role("button", name="20241031").click()
    expect(page.locator(".cell-details p")).to_have_count(2)
    expect(page.locator(".cell-details li")).to_have_count(6)


def test_the_copy_button_copies_the_command_as_it_is(site: Path, open_view: Callable[..., View]) -> None:
    view = open_view(permissions=["clipboard-read", "clipboard-write"])
    page = view.open(site)
    button = page.locator("article", has_text=CALIB).first.get_by_role("button")
    page.locator("article", has_text="raws: 12 of").get_by_role("button").click()
    assert page.evaluate("navigator.clipboard.readText()") == MISSING.commands[0]
    expect(button).to_have_text("Copy")
    expect(page.locator("#announcement")).to_have_text("The command was copied.")


def test_hostile_names_are_only_text(tmp_path: Path, open_view: Callable[..., View]) -> None:
    rows = [row.__class__(row.night, row.detector, 2, 1, None, [HOSTILE], HOSTILE) for row in make_ledger(4, 3)]
    page = open_view().open(write_site(tmp_path, {HOSTILE: rows}))
    select_cell(page, 2, 1)
    expect(page.locator(".cell-details li")).to_have_text([HOSTILE])
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(site: Path, open_view: Callable[..., View], scheme: str, viewport: dict[str, int]) -> None:
    view = open_view(color_scheme=scheme, viewport=viewport)
    for path in (site, site.parent / "index.html"):
        page = view.open(path)
        if path == site:
            select_cell(page, 7, 3)
        found = Axe().run(page).response["violations"]
        serious = [(item["id"], [node["target"] for node in item["nodes"]]) for item in found if item["impact"] in SERIOUS]
        assert serious == []


def test_nothing_is_wider_than_a_phone(site: Path, open_view: Callable[..., View]) -> None:
    view = open_view(viewport=PHONE)
    for path in (site, site.parent / "index.html"):
        page = view.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_page_is_complete_without_scripts_but_for_the_charts(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view(java_script_enabled=False).page
    page.goto(site.as_uri())
    expect(page.locator("article.difference:visible")).to_have_count(6)
    expect(page.get_by_role("button")).to_have_count(0)
    page.get_by_text("Table of checks: 39").click()
    expect(page.get_by_role("cell", name="unknown", exact=True)).to_have_count(1)
    page.get_by_text("Nights with problems: 3").click()
    expect(page.get_by_role("rowheader", name="20241031")).to_be_visible()


def test_a_printed_page_has_dark_text_on_white_and_no_buttons(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view(color_scheme="dark").open(site)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.get_by_role("button", name="Copy").first).to_be_hidden()
    assert page.pdf()[:5] == b"%PDF-"


def test_a_page_is_served_by_any_web_server(site: Path, open_view: Callable[..., View]) -> None:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site.parent)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        page = open_view().open(f"http://127.0.0.1:{server.server_port}/{site.name}")
        expect(page.locator("article.difference")).to_have_count(6)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_400_nights_of_189_detectors_open_their_cells(tmp_path: Path, open_view: Callable[..., View]) -> None:
    page = open_view().open(write_site(tmp_path, {RAW: make_ledger(400, 189, worst=True)}))
    page.evaluate("""() => [0, 1].forEach((axis) => document.querySelector('.heat-map').chart.dispatchAction(
        {type: 'dataZoom', dataZoomIndex: axis, startValue: 95, endValue: 105}))""")
    select_cell(page, 102, 100)
    expect(page.locator(".cell-details")).to_contain_text("night 20250203, detector 100")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    if os.environ.get("RECONCILE_MEASURE"):
        print(f"first contentful paint after {paint:.0f} ms")
        assert paint < LONGEST_FIRST_PAINT
