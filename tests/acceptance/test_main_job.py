"""The main use, on real systems: ccms1 from an empty world to in sync, with every command of the procedure."""

from __future__ import annotations

import fnmatch
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from dumps import Dump, dump_postgres, dump_sqlite

from reconciler.playground.site import repository_uri
from reconciler.playground.up import down
from reconciler.playground.world import World

pytestmark = pytest.mark.slow
CASES = ROOT / "tests" / "cases"
FLAGS = {"--fail-fast", "--override", "--close"}
NOT_TYPED = "--fail-fast"
"""What the procedure types and the program doesn't: it ingests what can be ingested, and names the rest."""


class Job:
    """A playground, and methods that run the program on it in separate processes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.environment = os.environ | world.environment() | {"XDG_STATE_HOME": str(world.root / "xdg")}

    def run(self, *words: str, expect: int = 0) -> str:
        return self.execute([sys.executable, "-m", "reconciler", *words], expect)

    def reconcile(self, command: str, *words: str, expect: int = 0) -> str:
        return self.run(command, "state/ccms1.toml", "--var-file", str(self.world.site), *words, expect=expect)

    def execute(self, words: list[str], expect: int = 0) -> str:
        done = subprocess.run(words, capture_output=True, text=True, env=self.environment, cwd=ROOT)
        assert done.returncode == expect, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def butler(self, *words: str) -> str:
        return self.execute([str(Path(sys.executable).with_name("butler")), *words])

    def dump(self) -> dict[str, Dump]:
        socket = self.world.read_record()["postgres"]
        registry = (
            dump_postgres(socket, "lsstprod", "ccms1")
            if self.world.sizes.like_production
            else dump_sqlite(self.world.repository / "gen3.sqlite3")
        )
        return {"butler": registry, "rucio": dump_postgres(socket, "rucio", "dev")}


@pytest.fixture(scope="class")
def job(request: pytest.FixtureRequest, worlds: Path) -> Iterator[Job]:
    like_production: bool = request.cls.like_production
    world = World(worlds / f"main{int(like_production)}")
    found = Job(world)
    sizes = ["--nights", "2", "--exposures", "6", "--shards", "14"]
    found.run("playground", "up", str(world.root), *sizes, *(["--like-production"] if like_production else []))
    yield found
    down(world)


@pytest.fixture(scope="class")
def script(job: Job) -> str:
    """The shell script for an empty world, made before anything is applied."""
    return job.reconcile("diff", "--format", "shell", expect=2)


@pytest.fixture(scope="class")
def applied(job: Job, script: str) -> str:
    return job.reconcile("apply", "--yes", "--wait", "5m")


def parse(line: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Split a command into its words, in order, and its options."""
    words, options = [], {}
    parts = iter(shlex.split(line))
    for part in parts:
        if part in FLAGS:
            options[part] = ""
        elif part.startswith("--"):
            options[part] = next(parts).rstrip("/")
        else:
            words.append(part.rstrip("/"))
    return tuple(words), options


def same(expected: str, typed: str, data: str) -> bool:
    """Compare a command of the procedure, whose variables match anything, with one of the script; files are compared by name."""
    (words, options), (typed_words, typed_options) = parse(expected), parse(typed)
    options.pop(NOT_TYPED, None)
    if len(words) != len(typed_words) or set(options) != set(typed_options):
        return False
    pairs = [*zip(words, typed_words, strict=True), *((options[key], typed_options[key]) for key in options)]
    return all(_same_word(one, other.replace(data, "$DATA")) for one, other in pairs)


def _same_word(expected: str, typed: str) -> bool:
    if expected in ("$DATASET", "$COLLECTION", "$dstype"):
        return True
    if expected == typed or fnmatch.fnmatchcase(typed, expected.replace("$DATASET", "*")):
        return True
    name = expected.rpartition("/")[2]
    return name == typed.rpartition("/")[2] and ("." in name or expected.startswith("/"))


class MainJob:
    """Tests that hold for both deployments."""

    like_production: bool

    def test_on_an_empty_world_the_script_is_the_procedure_command_for_command(self, job: Job, script: str) -> None:
        data = repository_uri(job.world).partition("/butler/")[0] + "/storage/IN2P3_RAW_DISK"
        typed = [line for line in script.splitlines() if line.startswith(("butler ", "rucio"))]
        expected = (CASES / "procedure_commands.txt").read_text().splitlines()
        missing = [command for command in expected if not any(same(command, line, data) for line in typed)]
        assert not missing, missing
        assert len(expected) == 27
        creations = [number for number, line in enumerate(typed) if line.startswith("butler create")]
        others = [number for number, line in enumerate(typed) if line.startswith("butler ") and "create" not in line]
        assert creations[0] < min(others)

    def test_the_collection_tree_equals_all_59_rows_of_the_procedure(self, job: Job, applied: str) -> None:
        printed = job.butler("query-collections", "--chains=tree", repository_uri(job.world), "LSSTComCam/DP1/defaults")
        rows = [line.rstrip() for line in printed.splitlines()[2:] if line.strip()]
        expected = (CASES / "procedure_tree.txt").read_text().splitlines()
        assert len(expected) == 59
        assert [row.split() for row in rows] == [row.split() for row in expected]
        depth = [len(row) - len(row.lstrip()) for row in rows]
        assert depth == [len(row) - len(row.lstrip()) for row in expected]

    def test_after_an_apply_nothing_differs_and_a_second_apply_changes_no_database(self, job: Job, applied: str) -> None:
        before = job.dump()
        assert "ccms1 is in sync: 61 resources" in job.reconcile("diff")
        assert "changed 0" in job.reconcile("apply", "--yes")
        after = job.dump()
        for system in before:
            for table in before[system]:
                assert before[system][table] == after[system][table], f"{system} {table}"

    def test_manual_changes_are_reported_and_repaired(self, job: Job, applied: str) -> None:
        repo = repository_uri(job.world)
        job.butler("collection-chain", "--mode=remove", repo, "LSSTComCam/calib", "LSSTComCam/calib/DM-48650")
        where = "instrument='LSSTComCam' AND exposure.seq_num = 4 AND detector IN (4, 7)"
        job.butler("prune-datasets", repo, "LSSTComCam/raw/all", "--datasets", "raw", "--purge", "LSSTComCam/raw/all",
                   "--where", where, "--no-confirm")  # fmt: skip
        output = job.reconcile("diff", expect=2)
        assert "+ LSSTComCam/calib/DM-48650 at 11 (of 12)" in output
        assert "raws: 4 of" in output
        output = job.reconcile("apply", "--yes")
        assert "changed 3" in output
        job.reconcile("diff")

    def test_output_and_files_of_a_run_contain_no_secret(self, job: Job, applied: str, script: str) -> None:
        secret: Any = job.world.read_record()["password"]
        assert secret not in applied + script + job.reconcile("diff", "--format", "json")
        for path in (job.world.root / "xdg").rglob("*"):
            if path.is_file():
                assert secret not in path.read_text(errors="replace"), path

    def test_the_playground_restarts_after_a_crash_and_down_stops_only_its_own_processes(self, job: Job, applied: str) -> None:
        record = job.world.read_record()["processes"]
        os.kill(record["rucio-server"]["pid"], 9)
        assert "not running" in job.run("playground", "status", str(job.world.root))
        job.run("playground", "up", str(job.world.root))
        job.reconcile("diff")
        unrelated = subprocess.Popen(["sleep", "60"])
        processes = job.world.read_record()["processes"]
        job.world.update_record(processes=processes | {"unrelated": {"pid": unrelated.pid, "started": "1"}})
        job.run("playground", "down", str(job.world.root))
        assert unrelated.poll() is None
        unrelated.kill()
        assert "nothing was running" in job.run("playground", "down", str(job.world.root))


class TestOnSqliteAndAFolder(MainJob):
    like_production = False


class TestOnPostgresqlAndWebdav(MainJob):
    """The deployment that the procedure describes."""

    like_production = True
