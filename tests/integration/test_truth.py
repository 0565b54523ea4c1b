"""In sync means in sync: whatever is swapped, lost or edited after a proof was recorded is noticed by the next diff."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import truth
from conftest import STACK, Bench, PostgresTemplate
from inputs import make_export
from truth import CASES, Broken, Case, age

from reconciler.playground import campaign
from reconciler.systems.butler.datasets import DatasetReader

INPUTS = ("t.csv", "list.txt", "export.yaml", "test.toml")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat four members as many, instead of a thousand."""
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 3)


class Template:
    """A world that is in sync, made once on each database and copied for each test."""

    def __init__(self, folder: Path, bench: Bench, database: str | None, templates: PostgresTemplate | None) -> None:
        self.folder, self.bench, self.database, self.templates = folder, bench, database, templates
        files = folder / "files"
        for exposure in campaign.list_exposures(truth.SIZES):
            campaign.write_exposure(files / "raw" / "LSSTComCam", exposure)
        (files / "cat").mkdir()
        for pixel in truth.PIXELS:
            (files / "cat" / f"{pixel}.fits").write_text("stars")
        (files / "export").mkdir()
        make_export(files / "export")
        rows = "".join(f"{pixel}.fits,{pixel}\n" for pixel in truth.PIXELS)
        (bench.folder / "t.csv").write_text("file,htm7\n" + rows)
        (bench.folder / "list.txt").write_text("".join(f"{night}00001\n" for night in truth.NIGHTS[:2]))
        shutil.copy(files / "export" / "export.yaml", bench.folder)
        state = bench.state(truth.STATE.format(files=files, data_id=truth.DATA_ID))
        bench.apply(state)
        assert "is in sync" in bench.diff(state, 0)

    def copy(self, folder: Path) -> Bench:
        """Copy the repository, the state and its inputs."""
        bench = Bench(folder, folder / "repo", {**STACK, "XDG_STATE_HOME": str(folder / "xdg")})
        shutil.copytree(self.bench.repo, bench.repo)
        if self.templates is not None and self.database is not None:
            yaml = bench.repo / "butler.yaml"
            yaml.write_text(yaml.read_text().replace(self.database, self.templates._create(self.database)))
        for name in INPUTS:
            shutil.copy(self.bench.folder / name, folder)
        state = folder / "test.toml"
        state.write_text(state.read_text().replace(str(self.bench.repo), str(bench.repo)))
        return bench

    def back_up(self, bench: Bench) -> Callable[[], None]:
        """Copy the database of a copy, and return what restores it."""
        if self.templates is None:
            database, backup = bench.repo / "gen3.sqlite3", bench.folder / "backup"
            shutil.copy(database, backup)
            return lambda: shutil.copy(backup, database) and None
        name = str(bench.butler._registry._db._engine.url.database)
        copy, socket = self.templates._create(name), self.templates.socket

        def restore() -> None:
            import psycopg

            with psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True) as connection:
                connection.execute(f"drop database {name} with (force)")
                connection.execute(f"alter database {copy} rename to {name}")

        return restore


def make_template(request: pytest.FixtureRequest, factory: pytest.TempPathFactory, postgres: bool) -> Template:
    folder = factory.mktemp("truth")
    bench = Bench(folder, folder / "repo", {**STACK, "XDG_STATE_HOME": str(folder / "xdg")})
    if not postgres:
        shutil.copytree(request.getfixturevalue("comcam_template"), bench.repo)
        return Template(folder, bench, None, None)
    templates = request.getfixturevalue("postgres_comcam_template")
    return Template(folder, bench, templates.copy(bench.repo), templates)


@pytest.fixture(scope="module")
def sqlite_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(request, tmp_path_factory, postgres=False)


@pytest.fixture(scope="module")
def postgres_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(request, tmp_path_factory, postgres=True)


@pytest.fixture(params=["sqlite", "postgres"])
def template(request: pytest.FixtureRequest) -> Template:
    found: Template = request.getfixturevalue(f"{request.param}_world")
    return found


@pytest.fixture(params=["new", "old"])
def truth_bench(request: pytest.FixtureRequest, template: Template, tmp_path: Path) -> Bench:
    """A copy of the world, just made or made three days ago: its members are newer or older than the boundary of proofs."""
    bench = template.copy(tmp_path)
    if request.param == "old":
        age(bench.butler)
    return bench


def record_proofs(bench: Bench, template: Template) -> Broken:
    """Let a diff record proofs, check that the next one uses them, and return the world to break."""
    state = bench.folder / "test.toml"
    bench.diff(state, 0)
    output = bench.diff(state, 0, "-v")
    assert "81 raws by proof" in output
    assert "8 files by proof" in output
    assert "6 datasets by proof" in output
    return Broken(bench.folder, bench.repo, template.folder / "files")


def test_the_names_of_cases_are_printed_by_pytest_as_they_are() -> None:
    """The table of `make truth` finds tests by name, and pytest escapes what isn't ASCII."""
    assert [case.name for case in CASES if not case.name.isascii()] == []


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_breaks_a_world_is_noticed(template: Template, truth_bench: Bench, case: Case) -> None:
    state = truth_bench.folder / "test.toml"
    case.break_world(record_proofs(truth_bench, template))
    for code, words in ((case.code, ()), (case.deep_code, ("--deep",))):
        output = truth_bench.diff(state, code, *words)
        if code:
            assert case.address in output
            for text in case.named:
                assert text in output
        else:
            assert "is in sync" in output


RECORDS = [case for case in CASES if case.code == 0]


@pytest.mark.parametrize("case", RECORDS, ids=[case.name for case in RECORDS])
@pytest.mark.parametrize("age", ["new"])
def test_records_of_few_members_are_compared_by_default(
    template: Template, tmp_path: Path, case: Case, age: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 1000)
    bench = template.copy(tmp_path)
    case.break_world(Broken(bench.folder, bench.repo, template.folder / "files"))
    output = bench.diff(tmp_path / "test.toml", 2)
    assert all(text in output for text in (case.address, *case.named))


def test_an_apply_does_the_work_that_an_edited_input_needs(template: Template, truth_bench: Bench) -> None:
    state = truth_bench.folder / "test.toml"
    world = record_proofs(truth_bench, template)
    truth.edit_table(world)
    truth.edit_list(world)
    truth_bench.apply(state, 2)
    butler = truth_bench.butler
    assert len(butler.query_datasets("cat", "refcat", where="htm7 = 131198")) == 1
    exposures = {ref.dataId["exposure"] for ref in butler.query_datasets("raw", "listed")}
    assert truth.NIGHTS[0] * 100_000 + 2 in exposures


def proofs_of(bench: Bench) -> list[Path]:
    return sorted((Path(bench.environment["XDG_STATE_HOME"]) / "rubin-reconciler" / "proofs").glob("*.json"))


@pytest.fixture
def sqlite_bench(sqlite_world: Template, tmp_path: Path) -> Bench:
    bench = sqlite_world.copy(tmp_path)
    age(bench.butler)
    record_proofs(bench, sqlite_world)
    return bench


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b"\xff\x00", b"[" * 100_000, b"null"])
def test_a_corrupt_proof_is_ignored_and_replaced(sqlite_bench: Bench, content: bytes) -> None:
    for path in proofs_of(sqlite_bench):
        path.write_bytes(content)
    state = sqlite_bench.folder / "test.toml"
    assert "81 raws by members" in sqlite_bench.diff(state, 0, "-v")
    assert "81 raws by proof" in sqlite_bench.diff(state, 0, "-v")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_proof_that_others_can_write_is_ignored(sqlite_bench: Bench, mode: int) -> None:
    for path in proofs_of(sqlite_bench):
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(mode)
    assert "81 raws by members" in sqlite_bench.diff(sqlite_bench.folder / "test.toml", 0, "-v")


def test_proofs_that_cannot_be_written_fail_no_diff(sqlite_world: Template, tmp_path: Path) -> None:
    bench = sqlite_world.copy(tmp_path)
    (tmp_path / "file").write_text("")
    bench.environment["XDG_STATE_HOME"] = str(tmp_path / "file")
    for _ in range(2):
        output = bench.diff(tmp_path / "test.toml", 0, "-v")
        assert "81 raws by members" in output
        assert "by proof" not in output


def test_deep_and_quick_use_no_proof_and_quick_writes_none(sqlite_bench: Bench) -> None:
    state = sqlite_bench.folder / "test.toml"
    assert "81 raws by members" in sqlite_bench.diff(state, 0, "-v", "--deep")
    for path in proofs_of(sqlite_bench):
        path.unlink()
    output = sqlite_bench.diff(state, 0, "-v", "--quick")
    assert "81 raws by count" in output
    assert "by count only" in output
    assert not proofs_of(sqlite_bench)


def test_a_proof_of_another_version_repository_spec_or_input_does_not_hold(sqlite_bench: Bench) -> None:
    state = sqlite_bench.folder / "test.toml"
    for key in ("version", "identity", "spec", "address"):
        for path in proofs_of(sqlite_bench):
            document = json.loads(path.read_text())
            document["claim"][key] = "another"
            path.write_text(json.dumps(document))
        output = sqlite_bench.diff(state, 0, "-v")
        assert "81 raws by members" in output, key
        assert "by proof" not in output, key


def test_a_repository_restored_from_an_older_backup_is_noticed(template: Template, tmp_path: Path) -> None:
    bench = template.copy(tmp_path)
    state = bench.folder / "test.toml"
    Broken(bench.folder, bench.repo, template.folder).remove(*bench.butler.query_datasets("cat", "refcat", where="htm7 = 131075"))
    restore = template.back_up(bench)
    bench.apply(state)
    age(bench.butler)
    bench.diff(state, 0)
    assert "8 files by proof" in bench.diff(state, 0, "-v")
    restore()
    assert "131075" in bench.diff(state, 2)


def test_a_proof_is_recorded_again_with_a_later_boundary(
    sqlite_world: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three days after an ingest its members are older than the boundary, so none has to be listed."""
    import datetime

    bench = sqlite_world.copy(tmp_path)
    state = tmp_path / "test.toml"
    record_proofs(bench, sqlite_world)
    assert {json.loads(path.read_text())["older"] for path in proofs_of(bench)} == {0}
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
    monkeypatch.setattr("reconciler.kinds.shared.proven_datasets.utc_now", lambda: later)
    assert "81 raws by proof" in bench.diff(state, 0, "-v")
    assert {json.loads(path.read_text())["older"] for path in proofs_of(bench)} == {81, 8, 6}


def test_a_proof_replaces_lists_by_a_handful_of_queries(template: Template, tmp_path: Path) -> None:
    bench = template.copy(tmp_path)
    age(bench.butler)
    state = tmp_path / "test.toml"

    def count(*words: str) -> int:
        output = bench.diff(state, 0, "--stats", "--format", "json", *words)
        return int(json.loads(output)["states"][0]["stats"]["statements"])

    quick, listed = count("--quick"), count()
    proven = count()
    assert proven <= listed
    assert proven <= quick + 3 * 4, "three kinds with proofs"


def test_tagged_members_that_agree_are_counted_instead_of_listed(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = template.copy(tmp_path)
    state = tmp_path / "test.toml"
    bench.diff(state, 0)
    listed: list[str] = []
    refs = DatasetReader.refs

    def record(reader: DatasetReader, dataset_type: str, *arguments: Any, **options: Any) -> Any:
        listed.append(dataset_type)
        return refs(reader, dataset_type, *arguments, **options)

    monkeypatch.setattr(DatasetReader, "refs", record)
    output = bench.diff(state, 0, "-v")
    assert "9 members by members" in output
    assert "18 members by members" in output
    assert "raw" not in listed
    bench.diff(state, 0, "--deep")
    assert "raw" in listed


@pytest.mark.parametrize("words", [(), ("--deep",)])
def test_a_journal_of_a_crashed_writer_makes_a_read_only_diff_unknown_with_what_to_do(
    sqlite_bench: Bench, words: tuple[str, ...]
) -> None:
    leave_hot_journal(sqlite_bench.repo / "gen3.sqlite3")
    output = sqlite_bench.diff(sqlite_bench.folder / "test.toml", 1, *words)
    assert "is in sync" not in output
    assert "an interrupted writer left a journal behind" in output
    assert "run reconcile apply once" in output


def leave_hot_journal(database: Path) -> None:
    """Kill a process in the middle of a transaction whose pages have reached the database file."""
    import subprocess
    import sys

    code = (
        "import sqlite3, os, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('pragma cache_size = 1')\n"
        "db.execute('pragma synchronous = full')\n"
        "db.execute('begin exclusive')\n"
        "db.execute('create table junk (x)')\n"
        "db.execute('with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) "
        "insert into junk select randomblob(200) from n')\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=False)
    assert database.with_name(database.name + "-journal").stat().st_size > 0
