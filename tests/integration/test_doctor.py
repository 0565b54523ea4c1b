"""The doctor: each check passes on real systems, and fails with what to do where something is wrong."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from conftest import Bench
from test_trust import waiting_apply
from watch_data import forbid_access

from reconciler.playground.world import World
from reconciler.report import checkup
from reconciler.report.checkup import doctor_schema
from reconciler.systems.advisory_lock import AdvisoryLock
from reconciler.systems.rucio.session_facts import SessionFacts, _find_expiry

RUN = '[collection.a]\ntype = "RUN"\n'


def lines_of(output: str) -> dict[str, str]:
    """Return the text of each check by its name, with its sign."""
    found = {}
    for line in output.splitlines():
        if line.startswith(("  ✓ ", "  ✗ ")):
            name, _, text = line[4:].partition("  ")
            found[name.strip()] = f"{line[2]} {text.strip()}"
    return found


def test_a_healthy_machine_and_state_pass_all_checks(bench: Bench) -> None:
    output = bench.run("doctor", bench.state(RUN), expect=0).output
    lines = lines_of(output)
    assert set(lines) == {
        *("Python", "reconcile", "lsst-daf-butler", "lsst-resources", "rucio-clients", "Science Pipelines", "journal", "disk"),
        *("history", "state file", "repository", "writing", "lock", "commands and classes"),
    }
    assert output.endswith("No problem found.\n")
    assert lines["repository"] == f"✓ {bench.repo} opens, 0 collections"
    assert lines["writing"] == "✓ the registry and the datastore may be written"
    assert lines["history"].startswith("✓ none yet at ")


def test_nothing_is_written_by_the_checks(sqlite_bench: Bench) -> None:
    state = sqlite_bench.state(RUN)
    before = {path: path.stat().st_mtime_ns for path in sqlite_bench.folder.rglob("*")}
    sqlite_bench.run("doctor", state, expect=0)
    after = {path: path.stat().st_mtime_ns for path in sqlite_bench.folder.rglob("*")}
    assert after == before


def test_a_repository_that_does_not_exist_yet_is_no_problem_if_it_may_be_created(empty_bench: Bench) -> None:
    assert "doesn't exist yet; apply creates it" in empty_bench.run("doctor", empty_bench.state(RUN), expect=0).output


def test_a_broken_state_and_a_broken_repository_are_problems_with_hints(sqlite_bench: Bench) -> None:
    good, bad = sqlite_bench.state(RUN), sqlite_bench.state("[colection.a]\n", name="bad.toml")
    (sqlite_bench.repo / "gen3.sqlite3").write_text("not a database")
    output = sqlite_bench.run("doctor", good, bad, expect=1).output
    assert '✗ state file  bad.toml:5: colection: unknown table "colection"; did you mean "collection"?' in output
    assert "✗ repository" in output
    assert output.endswith("2 problems found.\n")


def test_a_lock_that_is_held_is_a_problem_that_names_its_holder(bench: Bench) -> None:
    state, process = waiting_apply(bench)
    try:
        lines = lines_of(bench.run("doctor", state, expect=1).output)
        assert lines["lock"].startswith("✗ ")
        assert " has held it since " in lines["lock"]
    finally:
        process.kill()
        process.communicate()
    assert lines_of(bench.run("doctor", state, expect=0).output)["lock"] == "✓ no apply is running"


def test_a_doctor_never_holds_the_lock_on_postgresql_so_that_no_apply_is_refused(
    postgres_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquired: list[object] = []
    monkeypatch.setattr(AdvisoryLock, "acquire", acquired.append)
    assert lines_of(postgres_bench.run("doctor", postgres_bench.state(RUN), expect=0).output)["lock"] == "✓ no apply is running"
    assert acquired == []


def test_a_database_file_that_may_not_be_written_is_a_problem(sqlite_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    database = sqlite_bench.repo / "gen3.sqlite3"
    may = os.access  # root may write anything
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in (database, sqlite_bench.repo) and may(path, mode))
    lines = lines_of(sqlite_bench.run("doctor", sqlite_bench.state(RUN), expect=1).output)
    assert lines["writing"].startswith(f"✗ no permission to write {database}; no permission to write {sqlite_bench.repo}")
    assert "the datastore" in lines["writing"]


def test_a_datastore_on_a_server_is_reported_as_not_checked(sqlite_bench: Bench) -> None:
    config = sqlite_bench.repo / "butler.yaml"
    config.write_text(config.read_text().replace("root: <butlerRoot>", "root: https://user:pass@dav.example.org/ccms1"))
    line = lines_of(sqlite_bench.run("doctor", sqlite_bench.state(RUN)).output)["writing"]
    assert line.startswith("✓ the registry may be written; not checked, because only a write shows it: https://")
    assert line.endswith("dav.example.org/ccms1/")
    assert "pass" not in line


def test_a_database_user_who_may_only_read_is_a_problem(postgres_bench: Bench, world: World) -> None:
    import psycopg

    yaml = postgres_bench.repo / "butler.yaml"
    database = yaml.read_text().partition("postgres@/")[2].partition("?")[0]
    role = f"r{uuid.uuid4().hex[:10]}"
    with psycopg.connect(f"host={world.read_record()['postgres']} user=postgres dbname={database}", autocommit=True) as server:
        server.execute(f"create role {role} login")
        server.execute(f"grant usage on schema butler to {role}")
        server.execute(f"grant select on all tables in schema butler to {role}")
    yaml.write_text(yaml.read_text().replace("postgres@/", f"{role}@/"))
    lines = lines_of(postgres_bench.run("doctor", postgres_bench.state(RUN), expect=1).output)
    assert lines["writing"] == f'✗ the database user {role} may not insert into "butler".collection'


def test_commands_of_the_science_pipelines_that_are_missing_are_a_problem(
    sqlite_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.systems.context import Context

    monkeypatch.setattr(Context, "find_missing_commands", lambda self, names: list(names))
    (sqlite_bench.folder / "m.config").write_text('config.name = "m"\n')
    lines = lines_of(sqlite_bench.run("doctor", sqlite_bench.state('[skymap.m]\nconfig = "m.config"\n'), expect=1).output)
    assert lines["commands and classes"].startswith("✗ skymap.m: needs the Science Pipelines")


def state_of_rucio(bench: Bench, scope: str, rse: str = "IN2P3_RAW_DISK") -> Path:
    path = bench.folder / "rucio.toml"
    rules = f'rules = [{{ rse_expression = "{rse}" }}]'
    path.write_text(f'[reconcile]\nversion = 1\n[rucio]\nrse = "IN2P3_RAW_DISK"\n[rucio_dataset."{scope}:d"]\n{rules}\n')
    return path


def test_a_rucio_server_its_account_token_clock_rses_and_scopes_are_checked(
    rucio_bench: Bench, fresh_scope: str, client: Any
) -> None:
    output = rucio_bench.run("doctor", state_of_rucio(rucio_bench, fresh_scope), expect=0).output
    lines = lines_of(output)
    assert lines["Rucio"].endswith(f"answers, as account {client.account}")
    assert lines["token"].startswith("✓ valid for another ")
    assert lines["clock"] == "✓ agrees with the clock of Rucio"
    assert (lines["RSEs"], lines["scopes"]) == ("✓ IN2P3_RAW_DISK", f"✓ {fresh_scope}")
    assert client.auth_token not in output


def test_an_unknown_rse_and_an_unknown_scope_are_problems(rucio_bench: Bench) -> None:
    lines = lines_of(rucio_bench.run("doctor", state_of_rucio(rucio_bench, "no_such_scope", "NO_SUCH"), expect=1).output)
    assert (lines["RSEs"], lines["scopes"]) == ("✗ no RSE matches NO_SUCH", "✗ Rucio has no scope no_such_scope")


def test_a_missing_rucio_cfg_is_a_problem(rucio_bench: Bench, fresh_scope: str) -> None:
    rucio_bench.environment["RUCIO_CONFIG"] = "/no/such/rucio.cfg"
    output = rucio_bench.run("doctor", state_of_rucio(rucio_bench, fresh_scope), expect=1).output
    assert lines_of(output)["rucio.cfg"] == "✗ /no/such/rucio.cfg: no such file"


def test_the_report_as_json_follows_its_schema(sqlite_bench: Bench) -> None:
    shutil.rmtree(sqlite_bench.repo)
    state = sqlite_bench.folder / "test.toml"
    state.write_text(f'[reconcile]\nversion = 1\n[repository]\nuri = "{sqlite_bench.repo}"\n')
    report = json.loads(sqlite_bench.run("doctor", state, "--format", "json", expect=1).output)
    jsonschema.validate(report, doctor_schema())
    assert (report["format"], report["healthy"]) == (1, False)
    failed = [check for group in report["groups"] for check in group["checks"] if not check["ok"]]
    assert [check["name"] for check in failed] == ["repository"]
    assert failed[0]["hints"] == ["to create one there, set `create = true` or `seed_config` in [repository]"]


def test_a_journal_in_a_folder_that_may_not_be_searched_ends_no_other_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "closed"
    forbid_access(monkeypatch, folder)
    assert checkup.check_disk("disk", folder / "journal.jsonl").ok


def test_a_repository_whose_creation_was_interrupted_does_not_pass_for_one_that_does_not_exist() -> None:
    repository = SimpleNamespace(status="half-made", ready=False)
    session: Any = SimpleNamespace(context=SimpleNamespace(butler=repository), butler_name="/repo")
    (check,) = checkup._check_repository(session)
    assert not check.ok
    assert "its creation was interrupted" in check.text


def test_a_class_whose_package_fails_in_any_way_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.systems.butler.commands import missing_classes

    (tmp_path / "brokenstack.py").write_text("raise RuntimeError('the product afw is not set up')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert missing_classes(["brokenstack.Camera", "collections.Counter"]) == ["brokenstack.Camera"]


def test_a_full_disk_an_ending_token_and_a_wrong_clock_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "LEAST_DISK", 10**18)
    assert not checkup.check_disk("disk", tmp_path / "a" / "b").ok
    now = datetime.datetime.now(datetime.UTC)
    facts = SessionFacts(now + datetime.timedelta(seconds=100), 90.0)
    assert checkup._check_token(facts.expires_at).text == "valid for 2 min only"
    assert not checkup._check_token(now - datetime.timedelta(days=1)).ok
    assert checkup._check_clock(facts.clock_offset).text == "2 min off the clock of Rucio"
    assert checkup._check_token(None).ok
    assert checkup._check_clock(None).ok


@pytest.mark.parametrize(
    "text",
    [
        "{'account': 'root', 'lifetime': datetime.datetime(2026, 11, 28, 19, 20, 42, 58206), 'vo': 'def'}",
        '{"account": "root", "lifetime": "2026-11-28 19:20:42"}',
        '{"account": "root", "lifetime": "Sat, 28 Nov 2026 19:20:42 UTC"}',
    ],
)
def test_the_end_of_a_token_is_read_in_each_form(text: str) -> None:
    assert _find_expiry(text) == datetime.datetime(2026, 11, 28, 19, 20, 42, tzinfo=datetime.UTC)
    assert _find_expiry("{}") is None
