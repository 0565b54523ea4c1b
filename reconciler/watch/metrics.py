"""The results of a run as a file for the textfile collector of Prometheus' node_exporter.

Ages are times of the past, as Prometheus recommends, so that they grow between two runs. A state that another run was checking
keeps its values of the file before. The label ``watch`` is the name of the file: node_exporter refuses equal series in two files.
"""

from __future__ import annotations

import contextlib
import datetime
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.errors import ReconcileError
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.version import __version__
from reconciler.watch.ledger import Ledger, Problem
from reconciler.watch.state_report import Cause, StateReport, Verdict

RULE_STATES = ("OK", "REPLICATING", "STUCK", "SUSPENDED", "INJECT", "WAITING_APPROVAL")
"""Rule states that always have a value."""
STATE = ("state",)
RESOURCE = ("state", "resource")
METRICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "reconcile_info": ("Version of the program that wrote this file.", ("watch", "version")),
    "reconcile_run_end_timestamp_seconds": ("When the last run of the watch ended.", ("watch",)),
    "reconcile_run_duration_seconds": ("Duration of the last run of the watch.", ("watch",)),
    "reconcile_state_info": ("Name and repository of a state file.", ("state", "name", "repository")),
    "reconcile_state_verdict": ("Verdict of the last check: 1 for the one that holds.", ("state", "verdict")),
    "reconcile_state_resources": ("Number of resources of the state.", STATE),
    "reconcile_state_differences": ("Number of differences.", ("state", "kind", "cause")),
    "reconcile_state_oldest_difference_timestamp_seconds": (
        "When the oldest difference of a cause was first seen.",
        ("state", "cause"),
    ),
    "reconcile_state_oldest_drift_timestamp_seconds": ("When the oldest difference that counts as drift was first seen.", STATE),
    "reconcile_state_unknown_checks": ("Number of checks in a row that could not check something.", STATE),
    "reconcile_state_ledger_files": (
        "Number of files available in Rucio at this RSE, in the Butler, and found on storage.",
        ("state", "resource", "answer"),
    ),
    "reconcile_state_ledger_checked_files": ("Number of files that were checked on storage.", RESOURCE),
    "reconcile_state_ledger_mismatched_files": (
        "Number of files for which Rucio, the Butler and storage disagree.",
        ("state", "resource", "problem"),
    ),
    "reconcile_state_rules": ("Number of replication rules of the state's Rucio datasets.", ("state", "rule_state")),
    "reconcile_state_waiting_bytes": ("Size of the files that Rucio has not delivered yet, as far as it is known.", STATE),
    "reconcile_state_last_check_timestamp_seconds": ("When the state was last checked, with whatever result.", STATE),
    "reconcile_state_last_success_timestamp_seconds": ("When the state was last checked completely.", STATE),
    "reconcile_state_check_duration_seconds": ("Duration of the last check.", STATE),
    "reconcile_state_check_sql_statements": ("Number of SQL statements of the last check.", STATE),
    "reconcile_state_check_rucio_requests": ("Number of requests to Rucio of the last check.", STATE),
}
"""The description and the labels of each metric; all are gauges."""


class MetricsError(ReconcileError):
    """A metrics file can't be written."""


@dataclass(frozen=True)
class Sample:
    """One value of a metric; ``labels`` are in the order of `METRICS`."""

    metric: str
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class FinishedRun:
    """One run of the watch.

    Parameters
    ----------
    watch : `str`
        Name that is unique among the metrics files of a host.
    ended : `datetime.datetime`
        When, in UTC.
    seconds : `float`
        Duration.
    reports : sequence of `StateReport`
        What is reported of each state.
    skipped : collection of `str`
        Paths of the states that another run was checking.
    """

    watch: str
    ended: datetime.datetime
    seconds: float
    reports: Sequence[StateReport]
    skipped: Collection[str] = ()


def write_metrics(path: Path, run: FinishedRun) -> None:
    """Write the metrics of a run; a reader gets the file before or the new one, never a part.

    States that were skipped keep the values that they have in the file before.

    Parameters
    ----------
    path : `pathlib.Path`
        The file; node_exporter reads those that end in ``.prom``.
    run : `FinishedRun`
        The run.

    Raises
    ------
    MetricsError
        If it can't be written, or prometheus-client isn't installed.
    """
    try:
        from prometheus_client import CollectorRegistry, write_to_textfile
    except ImportError as error:
        raise MetricsError("--metrics needs prometheus-client: pip install 'rubin-reconciler[metrics]'") from error
    folder = path.absolute().parent
    if not folder.is_dir():
        raise MetricsError(f"--metrics {path}: there is no folder {folder}, so no metrics were written")
    registry = CollectorRegistry()
    registry.register(_Collector([*_read_samples(path, run.skipped), *measure_run(run)]))
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise MetricsError(f"--metrics {path}: {error.strerror}, so no metrics were written") from error


class _Collector:
    """Gives samples to the official client, which writes them; the form of a collector is that of prometheus_client."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples = list(samples)

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        for name, (text, labels) in METRICS.items():
            values = {sample.labels: sample.value for sample in self.samples if sample.metric == name}
            if values:
                family = GaugeMetricFamily(name, text, labels=labels)
                for key in sorted(values):
                    family.add_metric([_show(value) for value in key], values[key])
                yield family


def _show(label: str) -> str:
    """Return a label without credentials and unprintable characters; prometheus_client itself escapes newlines."""
    return "\n".join(map(escape, redact(label).split("\n")))


def _read_samples(path: Path, states: Collection[str]) -> Iterator[Sample]:
    """Yield the values that an earlier file has of some states; none if it can't be read."""
    from prometheus_client.parser import text_string_to_metric_families

    if not states:
        return
    shown = set(map(_show, states))
    with contextlib.suppress(OSError, ValueError):
        for family in text_string_to_metric_families(path.read_text()):
            _, names = METRICS.get(family.name, ("", ()))
            for found in family.samples:
                if found.labels.get("state") in shown and set(found.labels) == set(names):
                    yield Sample(family.name, tuple(found.labels[name] for name in names), found.value)


def measure_run(run: FinishedRun) -> Iterator[Sample]:
    """Yield the values of a run."""
    yield Sample("reconcile_info", (run.watch, __version__), 1)
    yield Sample("reconcile_run_end_timestamp_seconds", (run.watch,), run.ended.timestamp())
    yield Sample("reconcile_run_duration_seconds", (run.watch,), run.seconds)
    for report in run.reports:
        yield from _measure_state(report)
        yield from _measure_differences(report)
        yield from _measure_check(report)
        for ledger in report.check.ledgers:
            yield from _measure_ledger(report.check.state, ledger)


def _measure_state(report: StateReport) -> Iterator[Sample]:
    check = report.check
    yield Sample("reconcile_state_info", (check.state, check.name, check.repository), 1)
    for verdict in Verdict:
        labels = (check.state, verdict.name.lower())
        yield Sample("reconcile_state_verdict", labels, float(report.verdict is verdict))
    yield Sample("reconcile_state_resources", (check.state,), len(check.addresses))
    for rule_state in dict.fromkeys([*RULE_STATES, *check.rules]):
        yield Sample("reconcile_state_rules", (check.state, rule_state), check.rules.get(rule_state, 0))
    if check.waiting_bytes is not None:
        yield Sample("reconcile_state_waiting_bytes", (check.state,), check.waiting_bytes)


def _measure_differences(report: StateReport) -> Iterator[Sample]:
    state, findings = report.check.state, report.findings
    counts = Counter((finding.difference.kind, finding.cause.value) for finding in findings)
    for (kind, cause), count in counts.items():
        yield Sample("reconcile_state_differences", (state, kind, cause), count)
    for cause in {finding.cause for finding in findings}:
        oldest = min(finding.first_seen for finding in findings if finding.cause is cause)
        name = "reconcile_state_oldest_difference_timestamp_seconds"
        yield Sample(name, (state, cause.value), oldest.timestamp())
    drift = [finding.first_seen for finding in findings if finding.exit_code == 2]
    if drift:
        yield Sample("reconcile_state_oldest_drift_timestamp_seconds", (state,), min(drift).timestamp())
    unknown = max((finding.times_seen for finding in findings if finding.cause is Cause.UNKNOWN), default=0)
    yield Sample("reconcile_state_unknown_checks", (state,), unknown)


def _measure_check(report: StateReport) -> Iterator[Sample]:
    check, labels = report.check, (report.check.state,)
    yield Sample("reconcile_state_last_check_timestamp_seconds", labels, report.checked.timestamp())
    success = report.checked if report.verdict is not Verdict.UNKNOWN else report.last_success
    if success is not None:
        yield Sample("reconcile_state_last_success_timestamp_seconds", labels, success.timestamp())
    yield Sample("reconcile_state_check_duration_seconds", labels, check.seconds)
    yield Sample("reconcile_state_check_sql_statements", labels, check.statements)
    yield Sample("reconcile_state_check_rucio_requests", labels, check.calls)


def _measure_ledger(state: str, ledger: Ledger) -> Iterator[Sample]:
    answers = {"rucio": ledger.in_rucio, "butler": ledger.in_butler}
    if ledger.checked:
        answers["storage"] = ledger.on_storage
    for answer, count in answers.items():
        yield Sample("reconcile_state_ledger_files", (state, ledger.address, answer), count)
    yield Sample("reconcile_state_ledger_checked_files", (state, ledger.address), ledger.checked)
    counts = {repair.problem: repair.count for repair in ledger.repairs}
    for problem in Problem:
        labels = (state, ledger.address, problem.name.lower())
        yield Sample("reconcile_state_ledger_mismatched_files", labels, counts.get(problem, 0))
