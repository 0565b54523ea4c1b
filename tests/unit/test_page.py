"""The files of the page: what they contain, that nothing in them is obeyed, and how they are written."""

import hashlib
import html
import json
import os
import re
import stat
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from page_data import COLLECTIONS, MISSING, PROBLEMS, RAW, Row, make_ledger, record, write_site
from watch_data import check, difference, night, resource, unknown

from reconciler import redaction
from reconciler.watch.acknowledgements import Acknowledgements
from reconciler.watch.check_result import CheckedCollection, CheckResult
from reconciler.watch.evaluation import Memory, evaluate
from reconciler.watch.history import open_history
from reconciler.watch.locations import HistoryLocation
from reconciler.watch.page.data import StatePage, page_name, view_state
from reconciler.watch.page.ledger_data import view_ledgers
from reconciler.watch.page.render import PageError, render_state
from reconciler.watch.page.site import Site
from reconciler.watch.state_report import Cause, StateReport

ASSETS = Path(__file__).parents[2] / "reconciler" / "watch" / "page" / "assets"
ECHARTS = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script><!--\u202egnp.\x1b[2J'


class Elements(HTMLParser):
    """The elements of a page with their attributes, as a browser finds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def report_of(found: CheckResult) -> StateReport:
    return evaluate(found, Memory(), Acknowledgements(Path("a")), night(3))


def draw(found: CheckResult, **values: object) -> str:
    return render_state(view_state(report_of(found), **values), night(3))  # type: ignore[arg-type]


def without_scripts(page: str) -> str:
    return re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a state that differs in every way, in a site of three states."""
    return write_site(tmp_path_factory.mktemp("site"))


def test_the_verdict_and_its_age_come_first_and_differences_are_grouped_by_cause(written: Path) -> None:
    page = html.unescape(without_scripts(written.read_text()))
    places = [
        page.index(text) for text in ("Checked <time", ">Differences<", ">Unknown <", ">Drifted <", ">Degraded <", ">Waiting <")
    ]
    assert places == sorted(places)
    assert "the oldest difference has lasted for 30 d" in page
    assert "It was in sync, and neither its table nor its inputs were edited since." in page
    assert page.count(MISSING.commands[0]) == 1
    assert "until 2026-12-24, 13 days left: lost at the source (DM-48746)" in page


def test_hostile_names_add_no_element_no_attribute_and_no_escape_sequence() -> None:
    def page(name: str) -> str:
        found = difference(
            name, text=name, field=name, commands=(name,), members=({name: name},), count=1, hints=(name,), desired=2
        )
        waiting = difference(name, "waiting", "", members=({"rule": name, "files": 2, "ok": 1, "state": name},))
        checked = check(
            found, waiting, unknown(name, name), addresses=(name,), state=f"/s/{name.replace('/', '')}.toml", repository=name,
            title=name, collections=(CheckedCollection(name, (name,), (name + "2",)),), error=name, hints=(name,),
        )  # fmt: skip
        ledger = {name: [Row(1, 2, 3, 2, None, [name], name)]}
        return draw(checked, ledgers=ledger, history_problem=name)

    hostile, harmless = page(HOSTILE), page("harmless")
    assert [(tag, sorted(attributes)) for tag, attributes in Elements(hostile).found] == [
        (tag, sorted(attributes)) for tag, attributes in Elements(harmless).found
    ]
    assert "\u202e" not in hostile
    assert "\x1b" not in hostile
    assert not [
        tag for tag, attributes in Elements(hostile).found if tag == "img" or any(key.startswith("on") for key in attributes)
    ]
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', hostile, re.DOTALL)
    assert "onerror" in json.loads(data)["ledgers"][0]["missing"]["0"][0]


def test_no_credential_reaches_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", {"hunter2!secret"})
    place = "davs://operator:s3cr3t@example.org/x?authz=eyJhbGciOiJIUzI1NiJ9.e30.abc"
    text = f"{place} hunter2!secret"
    page = draw(
        check(difference(text=text, commands=(text,), members=({"file": text},)), repository=text, error=text),
        ledgers={RAW: [Row(1, 2, 3, 2, None, [text], text)]},
    )
    for secret in ("s3cr3t", "eyJhbGci", "hunter2"):
        assert secret not in page


def test_a_page_allows_only_its_own_scripts_and_names_no_other_host(written: Path) -> None:
    for path in (written, written.parent / "index.html"):
        elements = Elements(path.read_text()).found
        (policy,) = [a["content"] for tag, a in elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
        assert policy is not None
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert "http" not in policy
        links = [a.get("href") or a.get("src") for tag, a in elements if a.get("href") or a.get("src")]
        assert all(link.startswith(("#", "data:,")) or (written.parent / link).exists() for link in links if link is not None)
        assert not [a for _, a in elements if "style" in a]


def test_the_library_of_the_charts_is_the_published_file_with_its_licence() -> None:
    content = (ASSETS / "echarts" / "echarts.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == ECHARTS
    assert "Apache License" in (ASSETS / "echarts" / "LICENSE").read_text()


def test_a_ledger_names_the_missing_exposures_of_each_cell() -> None:
    (view,) = view_ledgers({RAW: make_ledger()})
    cells = {(7 * 9 + 3): "delivered but not ingested", (15 * 9): "not delivered"}
    for cell, problem in cells.items():
        assert view.data["problems"][ord(view.data["problem"][cell]) - ord("a")] == problem
    assert view.data["missing"][str(7 * 9 + 3)] == [f"CC_O_20241031_{number:06}" for number in range(3)]
    assert view.differing == len(PROBLEMS)
    assert view.data["storage"] == ""
    assert view.data["problem"].count("a") == 30 * 9 - len(PROBLEMS)


def test_a_cell_without_a_row_is_no_cell_in_agreement() -> None:
    (view,) = view_ledgers({RAW: [Row(1, 0, 1, 1), Row(2, 1, 1, 1)]})
    assert view.data["problem"] == "a..a"


def test_rare_problems_share_a_colour_but_keep_their_text() -> None:
    (view,) = view_ledgers({RAW: [Row(1, number, 2, 1, None, [], f"problem {number}") for number in range(12)]})
    assert len(view.data["problems"]) == 8
    assert view.data["texts"] == {str(number): f"problem {number}" for number in range(6, 12)}


def test_names_beyond_the_limit_are_counted() -> None:
    (view,) = view_ledgers({RAW: [Row(1, 0, 500, 0, None, range(500), "not delivered")]})
    assert (len(view.data["missing"]["0"]), view.data["more"], view.unnamed) == (100, "400", 400)


def test_a_ledger_of_datasets_is_a_table_and_each_dataset_has_its_row() -> None:
    rows = [
        Row(0, -1, 90, 90 - number, None, ["f.fits"] * number, "not delivered" if number else "", f"s:d{number}")
        for number in (0, 1, 2)
    ]
    page = without_scripts(draw(check(), ledgers={RAW: rows}))
    assert "2 of 3 datasets differ; not delivered: 2." in page
    assert page.count("<code>f.fits</code>") == 3
    assert "s:d0" not in page
    assert "heat-map" not in page


def test_raws_whose_night_is_unknown_are_no_cell_of_the_heat_map() -> None:
    (view,) = view_ledgers({RAW: [Row(20241108, 4, 2, 2), Row(0, -1, 3, 0, None, ["x.fits"], "no data ID in its path")]})
    assert (view.nights, view.detectors, view.cells, view.differing) == (1, 1, 2, 1)
    assert [dataset.names for dataset in view.datasets] == [("x.fits",)]


def test_without_a_ledger_the_section_explains_that() -> None:
    assert "This check compared no deliveries." in draw(check())


def test_the_tree_marks_collections_by_what_differs_and_lists_a_chain_once() -> None:
    found = check(
        difference('chain."LSSTComCam/calib"', "change", "children"),
        addresses=tuple({address for collection in COLLECTIONS for address in collection.addresses}),
        collections=COLLECTIONS,
    )
    tree = view_state(report_of(found)).tree
    assert [node.name for node in tree] == ["LSSTComCam/defaults", "LSSTComCam/other"]
    raw, calib, skymaps = tree[0].children
    assert (raw.mark, calib.mark, skymaps.mark, tree[0].mark) == ("✓", "~", "✓", "✓")
    assert tree[0].differs
    assert tree[0].meaning == "in sync itself, but a collection below it is not"
    assert [(child.name, child.mark) for child in calib.children] == [
        ("LSSTComCam/calib/DM-47365", "✓"),
        ("LSSTComCam/calib/unbounded", "·"),
    ]
    assert tree[1].children[0].repeated
    assert tree[1].children[0].children == ()


def tree_of(*collections: CheckedCollection) -> StatePage:
    return view_state(report_of(check(collections=collections, addresses=(RAW,))))


def test_the_tree_is_incomplete_only_if_a_node_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.watch.page.collection_tree.MOST_NODES", 3)
    chain, other = CheckedCollection("a", (RAW,), ("b", "c")), CheckedCollection("z", (RAW,))
    assert not tree_of(chain).unlisted_nodes
    assert tree_of(chain, other).unlisted_nodes
    assert tree_of(replace(chain, children=("b", "c", "d"))).unlisted_nodes
    assert not tree_of(other).unlisted_nodes


def test_a_collection_whose_table_could_not_be_checked_is_unknown_even_if_another_table_is_in_sync() -> None:
    found = check(unknown(RAW), collections=(CheckedCollection("u", ("chain.calib", RAW)),))
    assert [node.mark for node in view_state(report_of(found)).tree] == ["?"]


def test_a_rule_has_the_progress_that_rucio_reports() -> None:
    member = {"rule": "8c1f", "ok": 86, "stuck": 4, "files": 90, "state": "STUCK"}
    found = check(difference(kind="degraded", field="rules", members=(member,)))
    (rule,) = view_state(report_of(found)).rules
    assert (rule.state, rule.done, rule.total, rule.stuck, rule.percent) == ("stuck", 86, 90, 4, 95)


def test_a_page_of_a_state_that_could_not_be_checked_claims_nothing_about_it() -> None:
    page = html.unescape(
        without_scripts(draw(check(unknown("", "no such file"), addresses=(), resources=(), error="no such file")))
    )
    assert "Not known, as nothing could be checked." in page
    assert "in sync" not in page
    assert "Nothing differs." not in page


def test_states_of_the_same_name_have_pages_of_their_own() -> None:
    names = [page_name(state) for state in ("/a/s.toml", "/b/s.toml", "/a/../x y.toml", "/a/.toml")]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.html", name) for name in names)
    assert page_name("/a/s.toml") == names[0]


def test_the_index_lists_states_of_earlier_runs_and_links_only_pages_that_exist(tmp_path: Path) -> None:
    location = HistoryLocation(tmp_path / "history.sqlite")
    report = record(open_history(location), check(difference()), 2)
    record(open_history(location), check(state="/data/state/dp1.toml", repository="r"), 3)
    site = Site(tmp_path / "html", location)
    page = site.write_state(report)
    index = site.write_index(night(41)).read_text()
    links = [a["href"] for tag, a in Elements(index).found if tag == "a"]
    assert links == [page.name]
    assert "dp1" in index


def test_a_history_that_cannot_be_read_is_reported_on_the_pages(tmp_path: Path) -> None:
    broken = tmp_path / "history.sqlite"
    broken.write_bytes(b"x" * 4096)
    site = Site(tmp_path / "html", HistoryLocation(broken))
    assert "database" in html.unescape(without_scripts(site.write_state(report_of(check())).read_text()))
    assert "Only the states of this run are listed" in site.write_index(night(3)).read_text()


def test_the_history_of_a_renamed_state_is_on_its_page(tmp_path: Path) -> None:
    location = HistoryLocation(tmp_path / "history.sqlite")
    history = open_history(location)
    record(history, check(difference(), state="/states/old.toml"), 0)
    record(history, check(state="/states/new.toml"), 1)
    assert [past.causes for past in history.read_past("/states/new.toml", 10)] == [{"unapplied": 1}, {}]
    assert [gone.cause for gone in history.read_resolved("/states/new.toml", 10)] == [Cause.UNAPPLIED]
    assert [past.checked for past in history.read_past("/states/new.toml", 1)] == [night(1)]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_pages_are_as_readable_as_the_umask_allows(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        path = Site(tmp_path / "html", HistoryLocation(tmp_path / "h.sqlite")).write_state(report_of(check()))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_page_that_cannot_be_written_leaves_the_one_before_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path / "html", HistoryLocation(tmp_path / "h.sqlite"))
    path = site.write_state(report_of(check()))
    before = path.read_text()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(PageError, match="can't be written: No space left on device"):
        site.write_state(report_of(check(difference())))
    assert path.read_text() == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PageError, match=r"^the page .* can't be written: Not a directory"):
        Site(tmp_path / "file" / "html", HistoryLocation(tmp_path / "h.sqlite")).write_state(report_of(check()))


def test_what_a_killed_writer_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    site = Site(tmp_path / "html", HistoryLocation(tmp_path / "h.sqlite"))
    path = site.write_state(report_of(check()))
    old, fresh = (path.parent / f".{path.name}.{name}.tmp" for name in ("old", "fresh"))
    old.touch()
    fresh.touch()
    os.utime(old, (0, 0))
    site.write_state(report_of(check()))
    assert (old.exists(), fresh.exists()) == (False, True)


def test_more_differences_than_a_page_lists_are_counted() -> None:
    addresses = tuple(f"collection.c{number}" for number in range(400))
    found = check(*(difference(address, commands=("c",)) for address in addresses), addresses=addresses)
    (group,) = view_state(report_of(found)).groups
    assert (group.count, len(group.findings), group.more) == (400, 300, 100)
    assert "100 more; " in draw(found)


def test_members_beyond_those_of_the_report_are_counted() -> None:
    found = replace(MISSING, count=1000)
    (group,) = view_state(report_of(check(found, resources=(resource(),)))).groups
    assert (len(group.findings[0].members), group.findings[0].more_members) == (12, 988)
