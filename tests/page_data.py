"""A state with every cause, a tree of collections, rules, a ledger and a history, for tests of the page."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from watch_data import check, difference, night, resource, unknown

from reconciler.watch.acknowledgements import Acknowledgement, Acknowledgements, fingerprint_of
from reconciler.watch.check_result import CheckedCollection, CheckResult
from reconciler.watch.history import History, open_history
from reconciler.watch.locations import HistoryLocation
from reconciler.watch.page.site import Site
from reconciler.watch.state_report import StateReport

RAW = 'raw."LSSTComCam/raw/all"'
CALIB = 'chain."LSSTComCam/calib"'
REFCATS = "rucio_dataset.refcats"
DELIVERY = 'import."DM-47365"'
SKYMAP = "skymap.ops"
NIGHTS = 41


@dataclass(frozen=True)
class Row:
    """One row of a ledger."""

    night: int
    detector: int
    in_rucio: int
    in_butler: int
    on_storage: int | None = None
    missing: Sequence[object] = ()
    problem: str = ""
    dataset: str = ""


def apply(address: str) -> tuple[str, ...]:
    return (f"reconcile apply /data/state/ccms1.toml --only '{address}'",)


COLLECTIONS = (
    CheckedCollection("LSSTComCam/raw/all", (RAW,)),
    CheckedCollection("LSSTComCam/calib/DM-47365", (DELIVERY,)),
    CheckedCollection("LSSTComCam/calib", (CALIB,), ("LSSTComCam/calib/DM-47365", "LSSTComCam/calib/unbounded")),
    CheckedCollection("skymaps", (SKYMAP,)),
    CheckedCollection("LSSTComCam/defaults", ("chain.defaults",), ("LSSTComCam/raw/all", "LSSTComCam/calib", "skymaps")),
    CheckedCollection("LSSTComCam/other", ("chain.other",), ("LSSTComCam/calib", "skymaps")),
)
ADDRESSES = (RAW, CALIB, REFCATS, DELIVERY, SKYMAP, "chain.defaults", "chain.other", "collection.known")
MISSING = difference(
    RAW, count=12, desired=148_845, text="raws: 12 of 148,845 missing (0.3 GB)", commands=apply(RAW), line=41,
    members=tuple({"exposure": f"CC_O_20241108_{n:06}", "detector": n % 9} for n in range(12)),
)  # fmt: skip
CHILDREN = difference(
    CALIB, "change", "children", text="children: LSSTComCam/calib/unbounded missing at 2", commands=apply(CALIB), line=88
)
STUCK = difference(
    REFCATS, "degraded", "rules", text="stuck for 3 d: rule IN2P3_RAW_DISK × 1, 4 of 90 files (MissingSourceReplica)",
    members=({"rule": "8c1f", "ok": 86, "stuck": 4, "files": 90, "state": "STUCK"},),
)  # fmt: skip
DELIVERED = difference(
    DELIVERY, "waiting", "", count=78, desired=90, text="waiting for ancillary:Dataset/dstyps/DM-48520, 12 of 90 files here"
)
KNOWN = difference("collection.known", "change", "doc", fingerprint="known", text="documentation differs")
EVERYTHING = (MISSING, CHILDREN, STUCK, DELIVERED, KNOWN, unknown(SKYMAP, "the Butler server could not be reached"))


def nightly(number: int) -> CheckResult:
    """Return what a check finds on some night: more and more differs, and one thing was repaired."""
    found = [item for since, item in zip((38, 30, 20, 10, 0, 40), EVERYTHING, strict=True) if number >= since]
    if 5 <= number < 9:
        found.append(difference("chain.other", "change", "children", text="children: other order"))
    addresses = {item.address for item in found if item.kind == "unknown"}
    differing = {item.address for item in found}
    return check(
        *found,
        addresses=ADDRESSES,
        resources=tuple(resource(a, settled=a not in differing) for a in ADDRESSES if a not in addresses),
        state="/data/state/ccms1.toml",
        repository="davs://webdav.example.org:2880/data/ccms1",
        title="ComCam multisite campaign",
        collections=COLLECTIONS,
        seconds=1.9,
    )


def make_ledger(nights: int = 30, detectors: int = 9, *, worst: bool = False) -> list[Row]:
    """Return a ledger; the worst one has a problem in every cell."""
    rows = []
    for place in range(nights):
        day = int((datetime.date(2024, 10, 24) + datetime.timedelta(days=place)).strftime("%Y%m%d"))
        for detector in range(detectors):
            names = [f"CC_O_{day}_{number:06}" for number in range(place % 4)] if worst or (place, detector) in PROBLEMS else []
            problem = PROBLEMS.get((place, detector), "not delivered" if worst else "")
            expected = 300 + (place * 37 + detector) % 400
            rows.append(Row(day, detector, expected, expected - len(names), expected if worst else None, names, problem))
    return rows


PROBLEMS = {
    (7, 3): "delivered but not ingested",
    (7, 4): "delivered but not ingested",
    (15, 0): "not delivered",
    (22, 8): "registered in the Butler but not on storage",
}


def make_acknowledgements() -> Acknowledgements:
    until = datetime.date(2026, 12, 24)
    entry = Acknowledgement(
        address="collection.known",
        field="doc",
        reason="lost at the source",
        until=until,
        ticket="DM-48746",
        fingerprint=fingerprint_of((KNOWN,), "collection.known", "doc"),
    )
    return Acknowledgements(Path("acks/ccms1.toml"), (entry,))


def record(history: History, found: CheckResult, number: float, acknowledgements: Acknowledgements | None = None) -> StateReport:
    """Record the check of some night."""
    history.begin_run(night(number))
    report = history.record(found, acknowledgements or Acknowledgements(Path("a")), night(number))
    history.end_run(night(number))
    return report


def make_history(folder: Path) -> tuple[HistoryLocation, StateReport]:
    """Record forty nights of a state, and the last checks of two others; return the last report."""
    location = HistoryLocation(folder / "history.sqlite")
    history = open_history(location)
    for number in range(NIGHTS):
        if number in (25, 26):
            continue  # the watch was down
        report = record(history, nightly(number), number, make_acknowledgements())
    return location, report


def write_site(folder: Path, ledgers: Mapping[str, Sequence[Row]] | None = None) -> Path:
    """Write the site of three states, and return the page of the one that differs in every way."""
    location, report = make_history(folder)
    site = Site(folder / "html", location)
    page = site.write_state(report, {RAW: make_ledger()} if ledgers is None else ledgers)
    for name, found in (("dp1", ()), ("rubin", (DELIVERED,))):
        checked = check(*found, state=f"/data/state/{name}.toml", repository=f"davs://x/{name}", addresses=(DELIVERY,))
        site.write_state(record(open_history(location), checked, NIGHTS - 1))
    site.write_index(night(NIGHTS - 1))
    return page
