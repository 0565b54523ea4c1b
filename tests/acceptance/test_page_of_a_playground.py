"""The page of the playground's world in Chromium: a week of checks of ccms1, and the pictures for the documentation.

With ``RECONCILE_SCREENSHOTS`` in the environment, which ``make screenshots`` sets, the pictures are written to that folder.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from playwright.sync_api import expect
from test_page_in_a_browser import PHONE, View, browser, open_view, select_cell

from reconciler.playground import catalog
from reconciler.playground.site import repository_uri
from reconciler.playground.up import down
from reconciler.playground.world import World
from reconciler.watch.acknowledgements import Acknowledgement, fingerprint_of, write_acknowledgement
from reconciler.watch.drift import DriftOptions, watch_states
from reconciler.watch.locations import HistoryLocation
from reconciler.watch.observation import CheckOptions
from reconciler.watch.page.site import Site
from reconciler.watch.state_report import StateReport

pytestmark = pytest.mark.slow
__all__ = ["browser", "open_view"]  # fixtures
FIRST_CHECK = datetime.datetime(2026, 12, 1, 4, 17, tzinfo=datetime.UTC)
NIGHTS = 8
CALIB = 'chain."LSSTComCam/calib"'
RAW = 'raw."LSSTComCam/raw/all"'
RAWS = "LSSTComCam/raw/all"
HIDE_FOLDER = """(folder) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(folder, '/data');
}"""
"""The folder of the playground has another name in each run."""


class WatchedPlayground:
    """A playground to which ccms1 is applied, with a history of checks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.environment = os.environ | world.environment() | {"XDG_STATE_HOME": str(world.root / "xdg")}
        self.state = world.root / "ccms1.toml"
        self.history = HistoryLocation(world.root / "history.sqlite")
        self.variables = tomllib.loads(world.site.read_text()) if world.site.exists() else {}

    def run(self, *words: str) -> None:
        done = subprocess.run(words, capture_output=True, text=True, env=self.environment, cwd=ROOT)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"

    def reconcile(self, *words: str) -> None:
        self.run(sys.executable, "-m", "reconciler", *words)

    def apply(self) -> None:
        self.reconcile("apply", str(self.state), "--var-file", str(self.world.site), "--yes", "--wait", "5m")

    def butler(self, command: str, *words: str) -> None:
        program = str(Path(sys.executable).with_name("butler"))
        self.run(program, command, repository_uri(self.world), *words)

    def check(self, number: float) -> StateReport:
        """Check the state on some night."""
        options = DriftOptions(self.history, CheckOptions(self.variables, ledger=True))
        (report,) = watch_states([self.state], options, lambda: FIRST_CHECK + datetime.timedelta(days=number))
        assert isinstance(report, StateReport), report
        return report

    def remove_raws(self, where: str) -> None:
        self.butler(
            "prune-datasets", RAWS, "--datasets", "raw", "--purge", RAWS, "--no-confirm",
            "--where", f"instrument='LSSTComCam' AND {where}",
        )  # fmt: skip


def copy_state(world: World) -> None:
    """Copy ccms1 with its inputs next to it, so that the acknowledgements of the test are not among the sources."""
    (world.root / "ccms1.toml").write_text((ROOT / "state" / "ccms1.toml").read_text())
    (world.root / "ccms1").symlink_to(ROOT / "state" / "ccms1")


@pytest.fixture(scope="module")
def site(worlds: Path) -> Iterator[Path]:
    """The page after a week in which people broke and repaired things."""
    world = World(worlds / "page")
    WatchedPlayground(world).reconcile(
        "playground", "up", str(world.root), "--nights", "3", "--exposures", "12", "--shards", "14"
    )
    copy_state(world)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in world.environment().items():
            patch.setenv(name, value)
        yield watch_a_week(WatchedPlayground(world))
    down(world)


def watch_a_week(watched: WatchedPlayground) -> Path:
    """Check the world each night while people break and repair it, and return its page."""
    watched.apply()
    for number in (0, 1, 2):
        assert watched.check(number).exit_code == 0
    watched.butler("collection-chain", "--mode=remove", "LSSTComCam/calib", "LSSTComCam/calib/DM-48650")
    assert watched.check(3).exit_code == 2
    watched.apply()
    assert watched.check(4).exit_code == 0
    watched.remove_raws("exposure.seq_num IN (4, 7) AND detector IN (4, 7)")
    watched.butler("collection-chain", "--mode=remove", "refcats", "refcats/DM-49042/the_monster_20250219")
    report = watched.check(5)
    entry = Acknowledgement(
        address="chain.refcats",
        reason="the new catalog is validated first",
        ticket="DM-49042",
        until=(FIRST_CHECK + datetime.timedelta(days=20)).date(),
        fingerprint=fingerprint_of(report.check.differences, "chain.refcats", None),
    )
    write_acknowledgement(watched.state, entry)
    watched.check(6)
    client: Any = catalog.connect(watched.world)
    (rule,) = client.list_did_rules("ancillary", "Dataset/LSSTComCam/dstyps/DM-49977")
    client.delete_replication_rule(rule["id"])
    watched.remove_raws("exposure.day_obs = 20241109 AND exposure.seq_num = 2")
    report = watched.check(NIGHTS - 1)
    site = Site(watched.world.root / "page", watched.history)
    page = site.write_state(report, {ledger.address: ledger.rows for ledger in report.check.ledgers})
    site.write_index(report.checked)
    return page


def test_the_page_shows_what_the_week_left(site: Path, open_view: Callable[..., View]) -> None:
    page = open_view().open(site)
    expect(page.get_by_role("heading", level=1)).to_contain_text("drift ccms1")
    shown = page.locator("article.difference")
    for text in (RAW, "chain.refcats", 'rucio_dataset."ancillary:Dataset/LSSTComCam/dstyps/DM-49977"'):
        expect(shown.filter(has_text=text).first).to_be_visible()
    expect(page.locator(".heat-map")).to_have_count(1)
    expect(page.get_by_role("heading", name="Acknowledged")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("page-light", {"color_scheme": "light"}),
        ("page-dark", {"color_scheme": "dark"}),
        ("page-phone", {"color_scheme": "light", "viewport": PHONE}),
    ],
)
def test_pictures_for_the_documentation(
    site: Path, open_view: Callable[..., View], tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    folder = Path(os.environ.get("RECONCILE_SCREENSHOTS") or tmp_path)
    view = open_view(**options)
    view.page.clock.set_fixed_time(FIRST_CHECK + datetime.timedelta(days=NIGHTS - 1, hours=3))
    page = view.open(site)
    page.get_by_label("Only what differs").check()
    page.evaluate(HIDE_FOLDER, str(site.parents[1]))
    select_cell(page, 1, 3)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    path = folder / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert view.requests == [site.as_uri()], "no request but that of the page itself"
