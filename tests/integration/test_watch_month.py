"""A month of nightly checks with a moved clock, on a real repository and a real Rucio server: what each night reports."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from faultproxy import FaultProxy
from prometheus_client.parser import text_string_to_metric_families
from receivers import WebReceiver, receive_web
from test_drift import location, night, postgres_history, watch
from test_kinds_of_data import DATA_ID, INSTRUMENT, remove_raws

from reconciler.playground import campaign
from reconciler.playground.world import Sizes, World
from reconciler.watch.acknowledgements import Acknowledgement, acknowledgement_path, fingerprint_of, write_acknowledgement
from reconciler.watch.latest import read_latest
from reconciler.watch.metrics import FinishedRun, write_metrics
from reconciler.watch.state_report import Finding, StateReport, Verdict

__all__ = ["postgres_history"]  # a fixture
RSE = "IN2P3_RAW_DISK"
RAW = 'raw."LSSTComCam/raw/all"'
RULE = f'rules = [{{ rse_expression = "{RSE}" }}]\n'


NightMetrics = tuple[str, dict[str, int], int | None, int, int | None, dict[str, int]]
"""Verdict, differences by cause, days since the oldest drift, checks in a row that could not check something, days since the last
complete check, and rules by state."""

OK = {"OK": 1}
IN_SYNC = ("in_sync", {}, None, 0, 0, OK)
METRICS: dict[float, NightMetrics] = {
    0: ("drift", {"unapplied": 5}, 0, 0, 0, {}),
    1: IN_SYNC,
    2: IN_SYNC,
    3: ("drift", {"drifted": 1}, 0, 0, 0, OK),
    4: ("drift", {"drifted": 1}, 1, 0, 0, OK),
    5: IN_SYNC,
    6: ("drift", {"unapplied": 2}, 0, 0, 0, OK),
    7: ("expected", {"waiting": 1}, None, 0, 0, {"OK": 1, "REPLICATING": 1}),
    8: ("expected", {"waiting": 1}, None, 0, 0, {"OK": 1, "REPLICATING": 1}),
    9: ("drift", {"degraded": 1}, 0, 0, 0, {"OK": 1, "STUCK": 1}),
    10: ("unknown", {"unknown": 2}, None, 1, 1, {}),
    11: ("unknown", {"unknown": 2}, None, 2, 2, {}),
    12: ("drift", {"degraded": 1}, 3, 0, 0, {"OK": 1, "STUCK": 1}),
    13: IN_SYNC,
    14: ("expected", {"new": 1}, None, 0, 0, OK),
    15: ("expected", {"new": 1}, None, 0, 0, OK),
    16: ("drift", {"new": 1}, 2, 0, 0, OK),
    17: IN_SYNC,
    18: ("drift", {"drifted": 1}, 0, 0, 0, OK),
    19: ("expected", {"acknowledged": 1}, None, 0, 0, OK),
    20: ("expected", {"acknowledged": 1}, None, 0, 0, OK),
    21: ("drift", {"drifted": 1}, 3, 0, 0, OK),
    22: ("expected", {"acknowledged": 1}, None, 0, 0, OK),
    23: ("drift", {"drifted": 2}, 5, 0, 0, OK),
    26: ("drift", {"drifted": 2}, 8, 0, 0, OK),
    27: IN_SYNC,
    28: ("drift", {"drifted": 1}, 0, 0, 0, OK),
    29: ("drift", {"drifted": 1}, 1, 0, 0, OK),
}


@dataclass
class Month:
    """A watched state, and what happens to it.

    Parameters
    ----------
    bench : `Bench`
        Its folder and repository.
    client : `rucio.client.Client`
        Client with the root account.
    scope : `str`
        Its Rucio scope.
    proxy : `FaultProxy`
        Between the program and the server.
    """

    bench: Bench
    client: Any
    scope: str
    proxy: FaultProxy
    files: dict[str, list[str]] = field(default_factory=dict)
    state: Path = Path()
    web: WebReceiver = field(default_factory=WebReceiver)
    titles: dict[float, str] = field(default_factory=dict)
    """The title of the message of each night that had one."""
    metrics: dict[float, NightMetrics] = field(default_factory=dict)
    """The metrics of each night."""

    def check(self, number: float) -> StateReport:
        """Check the state on some night, and check that status then reports the same verdict."""
        before = len(self.web.messages)
        urls = self.bench.folder / "notify.txt"
        urls.write_text(f"json://{self.web.address}/x\n")
        (report,) = watch(self.bench, number, self.state, notify_file=urls)
        assert isinstance(report, StateReport)
        (latest,) = read_latest(location(self.bench), [self.state], max_age=26 * 3600, now=night(number + 0.1))
        assert latest.verdict is report.verdict
        for message in self.web.messages[before:]:
            assert number not in self.titles, "one message for each run"
            self.titles[number] = message["title"].removeprefix("reconcile: ")
        self.metrics[number] = self.measure(number, report)
        return report

    def measure(self, number: float, report: StateReport) -> NightMetrics:
        """Write the metrics of a night, and read them with the official parser."""
        path = self.bench.folder / "month.prom"
        write_metrics(path, FinishedRun("month", night(number), 1.0, [report]))
        families = {family.name: family.samples for family in text_string_to_metric_families(path.read_text())}

        def values(name: str, label: str = "state") -> dict[str, float]:
            found: Counter[str] = Counter()
            for sample in families.get(f"reconcile_state_{name}", ()):
                found[sample.labels[label]] += sample.value
            return found

        def days_since(name: str) -> int | None:
            found = list(values(f"{name}_timestamp_seconds").values())
            return round((night(number).timestamp() - found[0]) / 86_400) if found else None

        (verdict,) = (name for name, value in values("verdict", "verdict").items() if value)
        (unknown,) = values("unknown_checks").values()
        assert days_since("last_check") == 0
        differences = {cause: int(count) for cause, count in values("differences", "cause").items()}
        rules = {state: int(count) for state, count in values("rules", "rule_state").items() if count}
        return verdict, differences, days_since("oldest_drift"), int(unknown), days_since("last_success"), rules

    def apply(self) -> None:
        self.bench.run("apply", self.state, "--yes")

    def deliver(self, dataset: str, state: str, *numbers: int) -> None:
        """Set the state of some replicas as a transfer would: A for available, U for failed."""
        names = [self.files[dataset][number] for number in numbers]
        self.client.update_replicas_states(RSE, [{"scope": self.scope, "name": name, "state": state} for name in names])

    @contextmanager
    def rucio_down(self) -> Iterator[None]:
        with self.proxy.doing("reset"):
            yield


@pytest.fixture
def month(
    request: pytest.FixtureRequest, comcam: Bench, world: World, client: Any, fresh_scope: str, add_files: Any
) -> Iterator[Month]:
    if "postgres" in request.node.callspec.id:
        comcam.environment["RECONCILE_HISTORY"] = request.getfixturevalue("postgres_history")
    facts = world.read_record()
    proxy = FaultProxy(facts["rucio_url"])
    (comcam.folder / "rucio.cfg").write_text(
        f"[client]\nrucio_host = {proxy.url}\nauth_host = {proxy.url}\naccount = root\nauth_type = userpass\n"
        f"username = playground\npassword = {facts['password']}\nauth_token_file_path = {comcam.folder}/token\n"
    )
    found = Month(comcam, client, fresh_scope, proxy)
    for dataset in ("d", "late"):
        found.files[dataset] = add_files(fresh_scope, dataset, 3, close=True)
    with receive_web() as found.web:
        yield found
    proxy.server.shutdown()


def causes(report: StateReport) -> dict[str, tuple[str, int]]:
    """Return cause and age in days of the oldest difference of each address."""
    oldest = sorted(report.findings, key=lambda finding: finding.first_seen, reverse=True)
    return {f.difference.address: (f.cause.value + (" overdue" if f.overdue else ""), f.age.days) for f in oldest}


def only(report: StateReport) -> Finding:
    (finding,) = report.findings
    return finding


def test_a_month_of_checks(month: Month) -> None:
    bench = month.bench
    folder = bench.folder / "raw" / "LSSTComCam"
    exposures = list(campaign.list_exposures(Sizes(nights=2, exposures=2)))
    nights = sorted({exposure.night for exposure in exposures})
    for exposure in exposures:
        if exposure.night == nights[0]:
            campaign.write_exposure(folder, exposure)
    dataset, late = (f'rucio_dataset."{month.scope}:{name}"' for name in ("d", "late"))
    text = (
        f'[rucio]\nconfig = "rucio.cfg"\nrse = "{RSE}"\n'
        f'{INSTRUMENT}[{RAW}]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\ndata_id = \'{DATA_ID}\'\n'
        f'[collection."u/a"]\ntype = "RUN"\n[chain.calib]\nchildren = ["u/a"]\n[{dataset}]\n{RULE}'
    )
    month.state = bench.state(text)

    report = month.check(0)
    assert (report.verdict, report.exit_code, report.changed) == (Verdict.DRIFT, 2, True)
    expected = dict.fromkeys((RAW, 'collection."u/a"', "chain.calib", dataset), ("unapplied", 0))
    assert causes(report) == expected
    month.apply()
    month.deliver("d", "A", 0, 1, 2)

    report = month.check(1)
    assert (report.verdict, report.exit_code, report.changed) == (Verdict.IN_SYNC, 0, True), causes(report)
    assert {gone.address for gone in report.resolved} == set(expected)
    report = month.check(2)
    assert (report.verdict, report.changed, report.resolved) == (Verdict.IN_SYNC, False, ())

    assert remove_raws(bench, "exposure.seq_num = 2 AND detector IN (4, 7)") == 2
    report = month.check(3)
    assert (report.exit_code, report.changed, causes(report)) == (2, True, {RAW: ("drifted", 0)})
    assert only(report).difference.count == 2
    report = month.check(4)
    assert (report.exit_code, report.changed, causes(report)) == (2, False, {RAW: ("drifted", 1)})
    month.apply()
    report = month.check(5)
    assert (report.exit_code, [gone.first_seen for gone in report.resolved]) == (0, [night(3)])

    month.state = bench.state(f'{text}[chain.second]\nchildren = ["u/a"]\n[{late}]\n{RULE}')
    report = month.check(6)
    assert (report.exit_code, causes(report)) == (2, {"chain.second": ("unapplied", 0), late: ("unapplied", 0)})
    month.apply()
    report = month.check(7)
    assert (report.verdict, report.exit_code, causes(report)) == (Verdict.EXPECTED, 0, {late: ("waiting", 0)})
    assert (only(report).difference.count, only(report).difference.desired) == (3, 3)
    month.deliver("late", "A", 0)
    report = month.check(8)
    assert (report.exit_code, report.changed, causes(report)) == (0, False, {late: ("waiting", 1)})
    assert only(report).per_hour == pytest.approx(1 / 24)
    assert only(report).expected_at == night(10)

    month.deliver("late", "U", 1)
    report = month.check(9)
    assert (report.exit_code, report.changed, causes(report)) == (2, True, {late: ("degraded", 0)})
    with month.rucio_down():
        report = month.check(10)
        assert (report.verdict, report.exit_code, report.changed) == (Verdict.UNKNOWN, 1, True)
        assert causes(report) == {dataset: ("unknown", 0), late: ("unknown", 0)}
        report = month.check(11)
        assert (report.exit_code, report.changed, causes(report)[late]) == (1, True, ("unknown", 1))
    report = month.check(12)
    assert (report.exit_code, causes(report)) == (2, {late: ("degraded", 3)})
    assert {gone.kind for gone in report.resolved} == {"unknown"}
    month.state = bench.state(f'{text}[chain.second]\nchildren = ["u/a"]\n')
    report = month.check(13)
    assert (report.exit_code, causes(report)) == (0, {})
    assert [(gone.address, gone.resolution) for gone in report.resolved] == [(late, "not in the state any more")]

    for exposure in exposures:
        if exposure.night == nights[1]:
            campaign.write_exposure(folder, exposure)
    for number, cause, code, changed in ((14, "new", 0, True), (15, "new", 0, False), (16, "new overdue", 2, True)):
        report = month.check(number)
        assert (report.exit_code, report.changed, causes(report)) == (code, changed, {RAW: (cause, number - 14)})
    month.apply()
    assert month.check(17).verdict is Verdict.IN_SYNC

    bench.butler.collections.redefine_chain("calib", [])
    report = month.check(18)
    assert (report.exit_code, causes(report)) == (2, {"chain.calib": ("drifted", 0)})
    entry = Acknowledgement(
        address="chain.calib",
        reason="under review",
        until=night(20).date(),
        fingerprint=fingerprint_of(report.check.differences, "chain.calib", None),
    )
    write_acknowledgement(month.state, entry)
    for number, left in ((19, 1), (20, 0)):
        report = month.check(number)
        assert (report.verdict, report.exit_code, causes(report)["chain.calib"][0]) == (Verdict.EXPECTED, 0, "acknowledged")
        accepted = only(report).acknowledged_by
        assert accepted is not None
        assert (accepted.days_left, accepted.about_to_end) == (left, True)
    report = month.check(21)
    assert (report.verdict, report.exit_code, causes(report)) == (Verdict.DRIFT, 1, {"chain.calib": ("drifted", 3)})
    assert f"the acknowledgement ended on {night(20).date()}" in report.problems[0]
    write_acknowledgement(month.state, entry.model_copy(update={"until": night(30).date()}))
    report = month.check(22)
    assert (report.exit_code, causes(report)) == (0, {"chain.calib": ("acknowledged", 4)})
    bench.butler.collections.register("u/b")
    bench.butler.collections.redefine_chain("calib", ["u/b"])
    report = month.check(23)
    assert (report.exit_code, causes(report)["chain.calib"]) == (2, ("drifted", 5))
    assert all("because the difference changed" in finding.explanation for finding in report.findings)

    (latest,) = read_latest(location(bench), [month.state], max_age=26 * 3600, now=night(25))
    assert (latest.verdict, latest.stale) == (Verdict.UNKNOWN, True), "the watch was down for two days"
    report = month.check(26)
    assert (report.exit_code, causes(report)["chain.calib"]) == (2, ("drifted", 8))
    acknowledgement_path(month.state).unlink()
    bench.butler.collections.redefine_chain("calib", ["u/a"])
    report = month.check(27)
    assert (report.verdict, report.exit_code, report.changed) == (Verdict.IN_SYNC, 0, True)

    bench.butler.collections.redefine_chain("calib", [])
    month.check(28)
    month.state = month.state.rename(month.state.with_name("renamed.toml"))
    report = month.check(29)
    assert (report.exit_code, report.changed, causes(report)) == (2, False, {"chain.calib": ("drifted", 1)})
    assert [verdict.name for verdict in read_latest(location(bench), now=night(30))] == ["renamed"]
    assert datetime.timedelta(days=29) == report.checked - night(0)
    assert month.titles == {
        0: "test: 5 unapplied",
        1: "test: 5 resolved",
        3: "test: 1 drifted",
        5: "test: 1 resolved",
        6: "test: 2 unapplied",
        7: "test: 2 resolved",
        9: "test: 1 degraded",
        11: "test: 1 unknown",
        12: "test: 1 resolved",
        13: "test: 1 resolved",
        16: "test: 1 new overdue",
        17: "test: 1 resolved",
        18: "test: 1 drifted",
        19: "test: 1 about to end",
        21: "test: 1 drifted",
        23: "test: 2 drifted",
        27: "test: 2 resolved",
        28: "test: 1 drifted",
    }, "what is waited for, acknowledged for long or known already is not notified"
    assert month.metrics == METRICS
