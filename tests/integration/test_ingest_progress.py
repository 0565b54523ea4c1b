"""Raw ingest reports each exposure, and ends between two exposures when the operator asks to stop."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, STACK, Bench

import reconciler
from reconciler.playground import campaign
from reconciler.playground.campaign import Exposure

NIGHT, EXPOSURES, SECONDS = 20241108, 12, 0.3
RUN = "LSSTComCam/raw/all"
SLOW_TASK = f"""
import time

from lsst.daf.butler import Progress
from lsst.obs.base import RawIngestTask


class SlowProgress(Progress):
    def wrap(self, items, **options):
        for item in super().wrap(items, **options):
            if hasattr(item, "files"):
                time.sleep({SECONDS})
            yield item


class SlowRawIngestTask(RawIngestTask):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.progress = SlowProgress("obs.base.RawIngestTask")
"""


@pytest.fixture
def slow(empty_bench: Bench, comcam_template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state with twelve exposures in one command, each of which takes a third of a second."""
    shutil.copytree(comcam_template, empty_bench.repo)
    folder = empty_bench.folder / "raw"
    for sequence in range(1, EXPOSURES + 1):
        campaign.write_exposure(folder, Exposure(NIGHT, sequence))
    package = empty_bench.folder / "package"
    package.mkdir()
    (package / "slow_ingest.py").write_text(SLOW_TASK)
    monkeypatch.syspath_prepend(str(package))
    empty_bench.environment["PYTHONPATH"] = os.pathsep.join([str(package), str(ROOT), STACK["PYTHONPATH"]])
    for name, value in empty_bench.environment.items():
        monkeypatch.setenv(name, value)
    yield empty_bench.state(
        f'[raw."{RUN}"]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\ningest_task = "slow_ingest.SlowRawIngestTask"\n'
        f"data_id = '(?P<obs_id>CC_[A-Z]_\\d{{8}}_\\d{{6}})_(?P<full_name>R\\d\\d_S\\d\\d)\\.fits'\n"
    )
    sys.modules.pop("slow_ingest", None)


def count_by_exposure(bench: Bench) -> dict[int, int]:
    from lsst.daf.butler import Butler, MissingCollectionError, MissingDatasetTypeError

    found: dict[int, int] = {}
    try:
        refs = Butler.from_config(str(bench.repo)).query_datasets("raw", RUN, limit=None, explain=False)
    except (MissingCollectionError, MissingDatasetTypeError):
        return {}
    for ref in refs:
        found[ref.dataId["exposure"]] = found.get(ref.dataId["exposure"], 0) + 1
    return found


class Recorder(reconciler.Listener):
    def __init__(self) -> None:
        self.reports: list[tuple[float, str, int, int]] = []

    def report_bulk(self, what: str, done: int, total: int) -> None:
        self.reports.append((time.monotonic(), what, done, total))


def test_progress_is_reported_for_each_exposure_at_least_once_a_second(empty_bench: Bench, slow: Path) -> None:
    recorder = Recorder()
    with reconciler.open_session(slow) as session:
        assert session.apply(session.plan(), listener=recorder).exit_code == 0
    reports = [report for report in recorder.reports if report[1] == "raws"]
    done = [report[2] for report in reports]
    assert done == sorted(done)
    assert len(set(done)) >= EXPOSURES
    assert done[-1] == reports[-1][3] == sum(count_by_exposure(empty_bench).values())
    moments = [report[0] for report in recorder.reports if report[2]]
    assert max(later - earlier for earlier, later in itertools.pairwise(moments)) < 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_the_ingest_after_the_exposure_at_hand(empty_bench: Bench, slow: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", str(slow), "--yes"],
        env=os.environ | empty_bench.environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while len(count_by_exposure(empty_bench)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        before = len(count_by_exposure(empty_bench))
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    after = count_by_exposure(empty_bench)
    assert process.returncode == 130, output
    assert "stopping; Ctrl-C again stops at once" in output
    assert 3 <= before <= len(after) <= before + 1 < EXPOSURES
    assert all(after[exposure.id] == len(exposure.detectors) for exposure in exposures() if exposure.id in after)
    assert empty_bench.apply(slow).count("changed 1") == 1
    assert len(count_by_exposure(empty_bench)) == EXPOSURES


def exposures() -> list[Any]:
    return [Exposure(NIGHT, sequence) for sequence in range(1, EXPOSURES + 1)]
