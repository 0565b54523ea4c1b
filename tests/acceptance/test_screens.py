"""Every screen on terminals of 80 and 120 columns, with and without colour, as snapshots.

The snapshots are in tests/cases/screens, and pictures of them in docs/images/screens. ``make screens`` writes both anew after a
change that is meant.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, STACK
from inputs import register_nights
from screens import Screen, mask, run_on_terminal

from reconciler.playground.world import Sizes, World

SNAPSHOTS = ROOT / "tests" / "cases" / "screens"
PICTURES = ROOT / "docs" / "images" / "screens"
WIDTHS = (80, 120)
NIGHTS = """\
[reconcile]
version = 1
title = "Survey of the southern sky"
ticket = "DM-48746"
[repository]
uri = "repo"
create = true
[collection."u/survey/night{1..12}"]
type = "RUN"
note = "one for each night"
[dataset_type.cat]
storage_class = "StructuredDataDict"
dimensions = ["htm7"]
[chain."u/survey"]
children = ["u/survey/night1", "u/survey/night2", "u/survey/night3"]
[expect.catalogues]
dataset_type = "cat"
collections = ["u/survey"]
min = 1
note = "The reference catalogues are shared by all campaigns of this repository, so a missing one is serious."
"""
WRONG = """\
[reconcile]
version = 1
[repository]
uri = "repo"
create = true
[chain."u/survey"]
childern = ["u/survey/night1"]
[collection."u/survey/night1"]
type = "RUNN"
"""


RAWS = """\
[reconcile]
version = 1
[repository]
uri = "repo"
[rucio]
rse = "IN2P3_RAW_DISK"
[raw."LSSTComCam/raw/all"]
instrument = "LSSTComCam"
locations = ["LSSTComCam"]
sidecars = 1
delivered_by = ["{scope}:Dataset/*"]
"""
ACK = (
    *("ack", "chain.u/survey", "--state", "survey.toml", "--until", "2999-12-31", "--ticket", "DM-48746"),
    *("--reason", "The third night is reprocessed first"),
)
INIT = {"few words": "Survey of the southern sky\n", "[repo]": "\n", "[-]": "MY_RSE\n"}


PROGRAM = "import sys; sys.argv[0] = 'reconcile'; from reconciler.__main__ import run; run()"
"""The program, run by a Python whose path is that of the desk."""


@dataclass
class Desk:
    """An operator's folder with state files."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, columns: int, *words: str, typed: dict[str, str] | None = None) -> Screen:
        command = [str(self.folder / "venv" / "bin" / "python"), "-c", PROGRAM, *words]
        return run_on_terminal(command, columns=columns, folder=self.folder, environment=self.environment, typed=typed)


@pytest.fixture(scope="module")
def make_desk() -> Iterator[Callable[[], Desk]]:
    """A function that makes a desk; the path of its folder always has the same length."""
    made: list[Path] = []

    def make() -> Desk:
        folder = Path(tempfile.mkdtemp(prefix="desk-"))
        made.append(folder)
        (folder / "survey.toml").write_text(NIGHTS)
        (folder / "wrong.toml").write_text(WRONG)
        # Links, because some screens show the paths of Python and of its modules, whose length decides where lines break.
        (folder / "venv").symlink_to(sys.prefix)
        (folder / "src").symlink_to(ROOT)
        home = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "xdg"), "PYTHONPATH": str(folder / "src")}
        plugins = Path(STACK["DAF_BUTLER_PLUGINS"]).relative_to(ROOT)
        return Desk(folder, {"DAF_BUTLER_PLUGINS": str(folder / "src" / plugins), **home})

    yield make
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def empty(make_desk: Callable[[], Desk]) -> Desk:
    """A desk without a repository."""
    return make_desk()


@pytest.fixture
def fresh(make_desk: Callable[[], Desk]) -> Desk:
    """A desk for one test, which may change it."""
    return make_desk()


@pytest.fixture(scope="module")
def built(make_desk: Callable[[], Desk]) -> Desk:
    """A desk with a repository of which a chain has drifted and been watched, and with a saved plan."""
    desk = make_desk()
    build(desk)
    desk.run(80, "plan", "--out", "plan.json", "survey.toml")
    return desk


@pytest.fixture(scope="module")
def acknowledged(make_desk: Callable[[], Desk]) -> Desk:
    """A desk whose drift has been acknowledged."""
    desk = make_desk()
    build(desk)
    assert desk.run(80, *ACK).code == 0
    return desk


@pytest.fixture
def outdated(fresh: Desk) -> Desk:
    """A desk with a saved plan, of which a part was done since and another part changed."""
    from lsst.daf.butler import Butler, CollectionType

    build(fresh, drifted=False)
    butler = Butler.from_config(str(fresh.folder / "repo"), writeable=True)
    butler.collections.redefine_chain("u/survey", ["u/survey/night2"])
    for name in ("u/survey/night10", "u/survey/night11"):
        butler.registry.removeCollection(name)
    fresh.run(80, "plan", "--out", "plan.json", "survey.toml")
    butler.collections.redefine_chain("u/survey", ["u/survey/night3"])
    butler.collections.register("u/survey/night10", CollectionType.RUN)
    return fresh


@pytest.fixture(scope="module")
def delivered(make_desk: Callable[[], Desk], world: World, client: Any, comcam_template: Path) -> Desk:
    """A desk with a state of raws that Rucio delivers, of which one isn't on storage and one isn't ingested."""
    desk = make_desk()
    desk.environment = {**world.environment(), **desk.environment}
    desk.environment["PYTHONPATH"] += f":{STACK['PYTHONPATH']}"
    shutil.copytree(comcam_template, desk.folder / "repo")
    scope = f"t{uuid.uuid4().hex[:10]}"
    client.add_scope("root", scope)
    raws = register_nights(world, client, scope, Sizes(nights=1, exposures=2))
    (desk.folder / "LSSTComCam").symlink_to(raws)
    (desk.folder / "raws.toml").write_text(RAWS.format(scope=scope))
    applied = desk.run(80, "apply", "--yes", "raws.toml")
    assert applied.code == 0, applied.text
    first, second, *_ = sorted(raws.rglob("*.fits"))
    first.unlink()
    second.write_text("cut")
    return desk


def build(desk: Desk, *, drifted: bool = True) -> None:
    """Apply the state of a desk, and let a chain drift while it is watched."""
    desk.run(80, "apply", "--yes", "survey.toml")
    if not drifted:
        return
    desk.run(80, "apply", "--yes", "survey.toml")
    desk.run(80, "drift", "survey.toml")
    from lsst.daf.butler import Butler

    Butler.from_config(str(desk.folder / "repo"), writeable=True).collections.redefine_chain(
        "u/survey", ["u/survey/night2", "u/survey/night1"]
    )
    desk.run(80, "drift", "survey.toml")


@dataclass(frozen=True)
class Case:
    """One screen: its name, the desk, what is run and typed, and whether durations decide where its lines break."""

    name: str
    desk: str
    words: tuple[str, ...]
    typed: dict[str, str] | None = None
    timed: bool = False

    def agrees(self, text: str, snapshot: str) -> bool:
        return text.split() == snapshot.split() if self.timed else text == snapshot


CASES = (
    Case("help", "empty", ("--help",)),
    Case("diff-help", "empty", ("diff", "--help")),
    Case("wrong-option", "empty", ("diff", "--onyl", "x")),
    Case("wrong-format", "empty", ("log", "--format", "markdown")),
    Case("validate", "empty", ("validate", "survey.toml")),
    Case("validate-wrong", "empty", ("validate", "wrong.toml")),
    Case("diff-nothing-there", "empty", ("diff", "survey.toml")),
    Case("diff-nothing-there-verbose", "empty", ("diff", "-v", "survey.toml")),
    Case("apply-declined", "empty", ("apply", "survey.toml"), {"[y/N]": "\n"}),
    Case("apply-without-a-state", "empty", ("apply", "nosuch.toml")),
    Case("diff", "built", ("diff", "survey.toml")),
    Case("diff-verbose", "built", ("diff", "-v", "survey.toml")),
    Case("diff-quiet", "built", ("diff", "-q", "survey.toml")),
    Case("diff-shell", "built", ("diff", "--format", "shell", "survey.toml")),
    Case("drift", "built", ("drift", "-v", "survey.toml"), timed=True),
    Case("drift-quiet", "built", ("drift", "-q", "survey.toml"), timed=True),
    Case("log", "built", ("log",)),
    Case("list", "built", ("list", "survey.toml")),
    Case("explain", "built", ("explain", "survey.toml", "chain.u/survey"), timed=True),
    Case("graph", "built", ("graph", "survey.toml")),
    Case("status", "built", ("status",)),
    Case("init", "fresh", ("init",), INIT),
    Case("apply", "fresh", ("apply", "survey.toml"), {"[y/N]": "y\n"}, timed=True),
    Case("show", "built", ("show", "plan.json"), timed=True),
    Case("apply-plan", "outdated", ("apply", "--yes", "plan.json"), timed=True),
    Case("ack", "acknowledged", ACK),
    Case("acks", "acknowledged", ("acks", "survey.toml")),
    Case("doctor", "built", ("doctor", "survey.toml")),
    Case("doctor-wrong", "fresh", ("doctor", "wrong.toml")),
    Case("timer", "built", ("timer", "survey.toml")),
    Case("ledger", "delivered", ("ledger", "raws.toml")),
    Case("help-raw", "empty", ("help", "raw")),
    Case("help-key", "empty", ("help", "chain.mode")),
    Case("help-unknown", "empty", ("help", "chian")),
)


PLAIN = ("wrong-option", "wrong-format")
"""Screens of click, which has no colours."""


def show(desk: Desk, case: Case, columns: int, *more: str) -> Screen:
    return desk.run(columns, *case.words, *more, typed=case.typed)


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_screen_is_as_its_snapshot(request: pytest.FixtureRequest, case: Case, columns: int) -> None:
    desk: Desk = request.getfixturevalue(case.desk)
    screen = show(desk, case, columns)
    snapshot = SNAPSHOTS / f"{case.name}-{columns}.txt"
    if os.environ.get("RECONCILE_SCREENS"):
        snapshot.write_text(screen.text)
        write_picture(case, columns, screen)
    assert case.agrees(screen.text, snapshot.read_text()), f"{screen.text}\nif this change is meant: make screens"
    for line in screen.lines:
        assert len(line) <= columns
    assert b"\x1b[?25l" not in screen.raw.rpartition(b"\x1b[?25h")[2], "the cursor is left hidden"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_screen_without_colour_says_the_same(request: pytest.FixtureRequest, case: Case) -> None:
    desk: Desk = request.getfixturevalue(case.desk)
    plain = show(desk, case, 80, *(() if case.name in PLAIN else ("--color", "never")))
    assert case.agrees(plain.text, (SNAPSHOTS / f"{case.name}-80.txt").read_text()), plain.text
    if case.name not in PLAIN:
        assert not [code for code in (b"\x1b[31m", b"\x1b[32m", b"\x1b[33m", b"\x1b[1m") if code in plain.raw]


def write_picture(case: Case, columns: int, screen: Screen) -> None:
    """Write a screen as an SVG picture."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    PICTURES.mkdir(parents=True, exist_ok=True)
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ reconcile {' '.join(case.words)}", "bold"))
    console.print(Text.from_ansi(mask(screen.ansi)))
    title = f"reconcile {case.words[0]}"
    local = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # its fonts are on a server
    svg = console.export_svg(title=title, unique_id=f"{case.name}-{columns}", code_format=local)
    (PICTURES / f"{case.name}-{columns}.svg").write_text(svg)


def test_every_snapshot_belongs_to_a_screen() -> None:
    assert {file.name for file in SNAPSHOTS.iterdir()} == {f"{case.name}-{columns}.txt" for case in CASES for columns in WIDTHS}


def test_a_command_that_is_silent_for_half_a_second_gives_a_sign_of_life(built: Desk) -> None:
    screen = built.run(80, "diff", "survey.toml")
    assert b"starting the Butler" in screen.raw
    assert "starting the Butler" not in screen.text, "it is left behind"


@pytest.mark.parametrize("moment", ["starting the Butler", "[y/N]"])
def test_ctrl_c_leaves_a_clean_terminal(make_desk: Callable[[], Desk], moment: str) -> None:
    screen = make_desk().run(80, "apply", "survey.toml", typed={moment: "\x03"})
    assert screen.code == 130
    assert "Traceback" not in screen.text
    assert screen.lines[-1] == "interrupted"
    assert b"\x1b[?25l" not in screen.raw.rpartition(b"\x1b[?25h")[2], "the cursor is left hidden"
