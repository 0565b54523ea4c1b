"""The metrics of a run are what Prometheus' own tools accept, and mean what the report means."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from watch_data import CHAIN, RAW, START, check, difference, night, unknown

from reconciler.redaction import remember
from reconciler.watch.acknowledgements import Acknowledgements
from reconciler.watch.check_result import CheckResult
from reconciler.watch.evaluation import DifferenceMemory, Memory, evaluate
from reconciler.watch.ledger import FileEntry, Ledger, find_mismatches, make_rows
from reconciler.watch.ledger_repairs import RepairFacts, find_repairs
from reconciler.watch.metrics import METRICS, FinishedRun, MetricsError, write_metrics
from reconciler.watch.state_report import Cause, StateReport

ROOT = Path(__file__).parents[2]
RULES = ROOT / "contrib" / "prometheus"
STATE = "/states/ccms1.toml"
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def promtool(*words: object, text: str = "") -> str:
    """Run promtool; the test fails if it isn't installed, because nothing else checks these files."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is not installed: apt-get install prometheus, as .ci/run does")
    done = subprocess.run([program, *map(str, words)], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def report(found: CheckResult, memory: Memory | None = None) -> StateReport:
    return evaluate(found, memory or Memory(), Acknowledgements(Path("a")), night(3))


def ledger() -> Ledger:
    entries = [
        FileEntry("a", 20241108, 1, "s:d", "s:a", 10, True, True, True),
        FileEntry("b", 20241108, 1, "s:d", "s:b", 10, True, True, False),
        FileEntry("c", 20241108, 2, "s:d", "s:c", 10),
    ]
    repairs = find_repairs(entries, RepairFacts(STATE, RAW, "HERE"))
    return Ledger(
        RAW, "HERE", "all", make_rows(entries, by_night=True), find_mismatches(entries, by_night=True), repairs, (), 10, True
    )


def everything() -> StateReport:
    """A report with a value for every metric."""
    seen = DifferenceMemory(STATE, "t", "f", Cause.UNAPPLIED, False, night(0), night(2), 3, 0)
    found = difference()
    checked = check(
        found,
        unknown(CHAIN),
        rules={"STUCK": 2, "OK": 5},
        waiting_bytes=300,
        ledgers=(ledger(),),
        seconds=1.5,
        statements=12,
        calls=7,
    )
    return report(checked, Memory(open_differences={found.key: seen}, last_success=night(1)))


def write(path: Path, *reports: StateReport, skipped: tuple[str, ...] = (), ended: datetime.datetime = START) -> Samples:
    """Write a file, and return what the official parser reads from it."""
    write_metrics(path, FinishedRun("ccms1", ended, 2.5, reports, skipped))
    return read(path)


def read(path: Path) -> Samples:
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(path.read_text()):
        assert family.type == "gauge"
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, "a series is in the file once"
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: Any) -> float | None:
    labels = {"state": STATE} | labels if "state" in METRICS[name][1] else labels
    return samples.get((name, frozenset((key, str(text)) for key, text in labels.items())))


def test_every_metric_is_written_and_documented_and_promtool_accepts_the_file(tmp_path: Path) -> None:
    path = tmp_path / "reconcile.prom"
    samples = write(path, everything())
    assert {name for name, _ in samples} == set(METRICS)
    assert promtool("check", "metrics", text=path.read_text()) == ""


def test_promtool_finds_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match="no help text"):
        promtool("check", "metrics", text="# TYPE reconcile_x gauge\nreconcile_x 1\n")


def test_the_values_are_those_of_the_report(tmp_path: Path) -> None:
    samples = write(tmp_path / "a.prom", everything())
    assert value(samples, "reconcile_run_end_timestamp_seconds", watch="ccms1") == START.timestamp()
    assert value(samples, "reconcile_state_differences", kind="make", cause="unapplied") == 1
    assert value(samples, "reconcile_state_oldest_difference_timestamp_seconds", cause="unapplied") == night(0).timestamp()
    assert value(samples, "reconcile_state_oldest_drift_timestamp_seconds") == night(0).timestamp()
    assert value(samples, "reconcile_state_unknown_checks") == 1
    assert value(samples, "reconcile_state_last_check_timestamp_seconds") == night(3).timestamp()
    assert value(samples, "reconcile_state_last_success_timestamp_seconds") == night(1).timestamp(), "this check had an unknown"
    assert value(samples, "reconcile_state_check_sql_statements") == 12
    assert value(samples, "reconcile_state_check_rucio_requests") == 7
    assert value(samples, "reconcile_state_waiting_bytes") == 300
    assert value(samples, "reconcile_state_rules", rule_state="STUCK") == 2
    assert value(samples, "reconcile_state_rules", rule_state="SUSPENDED") == 0
    assert value(samples, "reconcile_state_ledger_files", resource=RAW, answer="rucio") == 2
    assert value(samples, "reconcile_state_ledger_files", resource=RAW, answer="butler") == 2
    assert value(samples, "reconcile_state_ledger_files", resource=RAW, answer="storage") == 1
    assert value(samples, "reconcile_state_ledger_mismatched_files", resource=RAW, problem="not_on_storage") == 1
    assert value(samples, "reconcile_state_ledger_mismatched_files", resource=RAW, problem="gone") == 0


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (check(), "in_sync"),
        (check(difference(kind="waiting")), "expected"),
        (check(difference()), "drift"),
        (check(unknown()), "unknown"),
    ],
)
def test_exactly_one_verdict_is_1(tmp_path: Path, found: CheckResult, verdict: str) -> None:
    samples = write(tmp_path / "a.prom", report(found))
    names = ("in_sync", "expected", "drift", "unknown")
    assert {name: value(samples, "reconcile_state_verdict", verdict=name) for name in names} == {
        name: float(name == verdict) for name in names
    }
    assert (value(samples, "reconcile_state_oldest_drift_timestamp_seconds") is not None) is (verdict == "drift")


def test_what_is_not_known_has_no_value(tmp_path: Path) -> None:
    samples = write(tmp_path / "a.prom", report(check(unknown())))
    assert value(samples, "reconcile_state_waiting_bytes") is None
    assert value(samples, "reconcile_state_last_success_timestamp_seconds") is None


def test_a_state_that_another_run_checks_keeps_its_values(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    other = "/states/other.toml"
    write(path, everything(), report(check(state=other)))
    samples = write(path, report(check(state=other)), skipped=(STATE,), ended=night(1))
    assert value(samples, "reconcile_state_check_sql_statements") == 12
    assert value(samples, "reconcile_run_end_timestamp_seconds", watch="ccms1") == night(1).timestamp()
    samples = write(path, report(check(state=other)))
    assert value(samples, "reconcile_state_check_sql_statements") is None, "it is not in the run any more"


def test_labels_of_any_text_are_read_back_and_contain_no_password(tmp_path: Path) -> None:
    remember("hush-a-secret")
    name = 'a "state"\\with\nlines, {braces} and …'
    samples = write(tmp_path / "a.prom", report(check(state=name, repository="x?password=hush-a-secret")))
    assert value(samples, "reconcile_state_resources", state=name) == 2
    assert "hush-a-secret" not in (tmp_path / "a.prom").read_text()


def test_labels_have_no_control_character_and_a_state_with_one_keeps_its_values(tmp_path: Path) -> None:
    path, state = tmp_path / "a.prom", "/states/\x1b[2J\u202e\x7f\udcff https://bob:hunter2@wiki/x.toml"
    write(path, report(check(state=state, statements=12)))
    for samples in (read(path), write(path, skipped=(state,))):
        shown = r"/states/\x1b[2J\u202e\x7f\udcff https://***@wiki/x.toml"
        assert value(samples, "reconcile_state_check_sql_statements", state=shown) == 12
    assert path.read_text().replace("\n", "").isprintable()
    assert promtool("check", "metrics", text=path.read_text()) == ""


def test_a_folder_that_is_not_there_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        MetricsError, match=r"^--metrics .*/none/a\.prom: there is no folder .*/none, so no metrics were written$"
    ):
        write(tmp_path / "none" / "a.prom", everything())
    with pytest.raises(MetricsError, match="so no metrics were written"):
        write(tmp_path, everything())
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}.*")), "nothing is left behind"


def test_a_file_that_cannot_be_written_keeps_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.prom"
    write(path, everything())
    before = path.read_text()

    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("rename", "replace"):
        monkeypatch.setattr(f"os.{name}", fail)
    with pytest.raises(MetricsError, match="No space left on device"):
        write(path, report(check()))
    assert path.read_text() == before


def test_without_the_extra_the_message_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MetricsError, match=r"pip install 'rubin-reconciler\[metrics\]'"):
        write(tmp_path / "a.prom", everything())


def test_the_alert_rules_are_valid_and_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES / "reconcile.rules.yml")
    assert "SUCCESS" in promtool("test", "rules", RULES / "reconcile.test.yml")


def test_the_alert_rules_use_metrics_that_exist() -> None:
    import re

    used = set(re.findall(r"reconcile_\w+", "".join(path.read_text() for path in RULES.glob("*.yml"))))
    assert used
    assert used <= set(METRICS)
