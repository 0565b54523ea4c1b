"""Butlers that are servers: the real server of lsst-daf-butler, which is compared with a state and never changed.

`butler_server` says what of it is played.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import truth
from butler_server import TOKEN, ButlerServer, running_server
from conftest import ROOT, STACK, Bench
from docs_pages import Reader
from faultproxy import FaultProxy, Handler
from test_doctor import lines_of
from test_kinds_of_data import VISITS, raw
from test_truth import Template
from truth import CASES, Broken, Case

from reconciler.errors import RepositoryReadOnly
from reconciler.opening import open_session
from reconciler.playground import campaign
from reconciler.playground.world import Sizes

for package in ("fastapi", "safir", "uvicorn"):
    pytest.importorskip(package, reason="the packages of the Butler server are not installed")
if find_spec("lsst.daf.butler.remote_butler._remote_file_transfer_source") is None:
    pytest.skip("the server of lsst-daf-butler 29 is set up in another way", allow_module_level=True)
RUN = '[collection.a]\ntype = "RUN"\n'
CHAIN = '[chain.b]\nchildren = ["a"]\n'
READ_ONLY = "is a server, which is read-only"


@pytest.fixture(scope="session")
def butler_server() -> Iterator[ButlerServer]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def served_template(tmp_path_factory: pytest.TempPathFactory, comcam_template: Path) -> Template:
    """A world with datasets of all kinds, in sync with its state, on SQLite."""
    folder = tmp_path_factory.mktemp("served")
    bench = Bench(folder / "bench", folder / "bench" / "repo", {**STACK, "XDG_STATE_HOME": str(folder / "xdg")})
    bench.folder.mkdir()
    shutil.copytree(comcam_template, bench.repo)
    return Template(folder, bench, None, None)


@pytest.fixture
def token(empty_bench: Bench) -> None:
    empty_bench.environment["BUTLER_RUBIN_ACCESS_TOKEN"] = TOKEN


def serve(server: ButlerServer, bench: Bench) -> str:
    """Serve the repository of a bench, and return its URL."""
    return server.serve(f"r{abs(hash(bench.folder)):x}", bench.repo)


def state_of(bench: Bench, uri: str, text: str = RUN, name: str = "served.toml") -> Path:
    path = bench.folder / name
    path.write_text(f'[reconcile]\nversion = 1\n[repository]\nuri = "{uri}"\n{text}')
    return path


def copy_world(template: Template, folder: Path) -> Bench:
    bench = template.copy(folder)
    bench.environment["BUTLER_RUBIN_ACCESS_TOKEN"] = TOKEN
    return bench


def through(server: ButlerServer, bench: Bench) -> Path:
    """Write the state of a world with the server in place of its folder."""
    text = (bench.folder / "test.toml").read_text().replace(f'uri = "{bench.repo}"', f'uri = "{serve(server, bench)}"')
    path = bench.folder / "served.toml"
    path.write_text(text)
    return path


def test_a_world_in_sync_is_in_sync_through_a_server_with_everything_compared(
    butler_server: ButlerServer, served_template: Template, tmp_path: Path
) -> None:
    bench = copy_world(served_template, tmp_path)
    state = through(butler_server, bench)
    for words in ((), ("--deep",), ("--quick",)):
        assert "is in sync" in bench.diff(state, 0, *words), words
    (report,) = json.loads(bench.run("diff", state, "--format", "json", expect=0).output)["states"]
    assert report["summary"]["unknown"] == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_breaks_a_world_is_noticed_through_a_server(
    butler_server: ButlerServer, served_template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """The paths of the datastore are those without scheme and host, and the same members are named."""
    monkeypatch.setattr("reconciler.systems.policy.LISTED", 3)
    bench = copy_world(served_template, tmp_path)
    bench.diff(through(butler_server, bench), 0, "--deep")  # records proofs
    world = Broken(tmp_path, bench.repo, served_template.folder / "files")
    case.break_world(world)
    world.butler.close()
    state = through(butler_server, bench)
    assert bench.run("diff", state).exit_code == case.code
    output = bench.diff(state, case.deep_code, "--deep", "-v")
    assert case.address in output
    for text in case.named:
        assert text in output


def test_visits_are_compared_through_a_server(butler_server: ButlerServer, comcam: Bench) -> None:
    comcam.environment["BUTLER_RUBIN_ACCESS_TOKEN"] = TOKEN
    folder = comcam.folder / "raw" / "LSSTComCam"
    first, second = [its for its in campaign.list_exposures(Sizes(nights=1, exposures=8)) if its.is_science][:2]
    campaign.write_exposure(folder, first)
    comcam.apply_and_check(comcam.state(raw(folder) + VISITS))
    output = comcam.diff(state_of(comcam, serve(butler_server, comcam), VISITS), 0, "-v")
    assert "1 exposures with a visit by members" in output
    campaign.write_exposure(folder, second)
    comcam.apply_and_check(comcam.state(raw(folder)))
    output = comcam.diff(state_of(comcam, serve(butler_server, comcam), VISITS), 2)
    assert f"{second.id}" in output
    assert "exposures with a visit: 1 of 2 missing" in output


def test_drift_watches_a_server(butler_server: ButlerServer, served_template: Template, tmp_path: Path) -> None:
    bench = copy_world(served_template, tmp_path)
    state = through(butler_server, bench)
    history = ("--history", tmp_path / "history.db")
    assert bench.run("drift", state, *history, expect=0).output == ""
    world = Broken(tmp_path, bench.repo, served_template.folder / "files")
    truth.lose_raws(world)
    world.butler.close()
    assert "2 of 81 missing" in bench.run("drift", through(butler_server, bench), *history, expect=2).output


def test_an_apply_refuses_before_anything_with_what_needs_a_direct_butler_and_how_to_name_one(
    butler_server: ButlerServer, sqlite_bench: Bench, token: None
) -> None:
    url = serve(butler_server, sqlite_bench)
    state = state_of(sqlite_bench, url, RUN + RUN.replace(".a", ".c") + CHAIN)
    output = sqlite_bench.diff(state, 2)
    assert "3 to change" in output
    assert f"An apply is refused: Butler {url} {READ_ONLY}; 3 actions need a direct Butler (collection 2, chain 1)." in output
    script = sqlite_bench.diff(state, 2, "--format", "shell")
    head = script.partition("exit 1\n")[0]
    assert f"# refused: Butler {url} {READ_ONLY}" in head
    assert "butler " not in head.replace(f"Butler {url}", "").replace("/butler/", "")
    database = sqlite_bench.repo / "gen3.sqlite3"
    before = database.read_bytes()
    for words in (["--yes"], []):
        output = sqlite_bench.run("apply", state, *words, expect=1, typed="y\n").output
        assert f"error: Butler {url} {READ_ONLY}; 3 actions need a direct Butler (collection 2, chain 1)" in output
        assert (
            "name a direct Butler of the same repository instead: the folder or URL of its own butler.yaml, or a label" in output
        )
        assert output.endswith("nothing was changed\n")
        assert "Apply?" not in output
    assert database.read_bytes() == before
    sqlite_bench.apply(sqlite_bench.state(RUN + RUN.replace(".a", ".c") + CHAIN))
    assert "changed 0" in sqlite_bench.apply(state_of(sqlite_bench, serve(butler_server, sqlite_bench), RUN + CHAIN))


def test_a_saved_plan_and_the_python_api_are_refused_in_the_same_way(
    butler_server: ButlerServer, sqlite_bench: Bench, token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_of(sqlite_bench, serve(butler_server, sqlite_bench))
    plan = sqlite_bench.folder / "plan.json"
    sqlite_bench.diff(state, 2, "--out", str(plan))
    assert "1 action needs a direct Butler (collection 1)" in sqlite_bench.run("apply", plan, "--yes", expect=1).output
    monkeypatch.setenv("BUTLER_RUBIN_ACCESS_TOKEN", TOKEN)
    with open_session(state) as session, pytest.raises(RepositoryReadOnly) as refused:
        session.apply(session.plan())
    assert refused.value.actions == {"collection": 1}


def test_what_changes_only_rucio_is_applied_with_a_server_butler(
    butler_server: ButlerServer, rucio_bench: Bench, template: Path, fresh_scope: str, add_files: Any
) -> None:
    add_files(fresh_scope, "d", 2)
    shutil.copytree(template, rucio_bench.folder / "repo")
    rucio_bench.environment["BUTLER_RUBIN_ACCESS_TOKEN"] = TOKEN
    url = butler_server.serve(f"r{fresh_scope}", rucio_bench.folder / "repo")
    rules = 'rules = [{ rse_expression = "SLAC_BUTLER_DISK" }]\n'
    rucio = f'[rucio]\nrse = "IN2P3_RAW_DISK"\n[rucio_dataset."{fresh_scope}:d"]\n{rules}'
    output = rucio_bench.run("apply", state_of(rucio_bench, url, rucio + RUN), "--yes", expect=1).output
    assert "(collection 1)" in output
    assert "--only 'rucio_*'" in output
    output = rucio_bench.run("apply", state_of(rucio_bench, url, rucio), "--yes", expect=0).output
    assert "changed 1 " in output
    assert "is in sync" in rucio_bench.diff(state_of(rucio_bench, url, rucio), 0)


def test_the_doctor_reports_what_an_apply_could_not_do(butler_server: ButlerServer, sqlite_bench: Bench, token: None) -> None:
    url = serve(butler_server, sqlite_bench)
    output = sqlite_bench.run("doctor", state_of(sqlite_bench, url), expect=1).output
    lines = lines_of(output)
    assert lines["repository"] == f"✓ {url} opens, 0 collections"
    assert lines["writing"].startswith(f"✗ Butler {url} {READ_ONLY}: diff and drift work, and apply can't change 1 resource")
    assert "name a direct Butler of the same repository instead" in output
    assert TOKEN not in output
    watched = RUN + 'manage = "observe"\n'
    assert lines_of(sqlite_bench.run("doctor", state_of(sqlite_bench, url, watched), expect=0).output)["writing"][0] == "✓"


def test_names_with_brackets_are_read_through_a_server(butler_server: ButlerServer, sqlite_bench: Bench, token: None) -> None:
    tables = '[collection."a[1]"]\ntype = "RUN"\n[chain.b]\nchildren = ["a[1]"]\n'
    sqlite_bench.apply(sqlite_bench.state(tables + RUN))
    state = state_of(sqlite_bench, serve(butler_server, sqlite_bench), tables)
    assert "is in sync" in sqlite_bench.diff(state, 0)


def test_locations_of_files_are_unknown_through_a_server_and_never_in_sync(
    butler_server: ButlerServer, served_template: Template, tmp_path: Path
) -> None:
    bench = copy_world(served_template, tmp_path)
    state = through(butler_server, bench)
    text = state.read_text()
    state.write_text(text.replace(f"data_id = '{truth.DATA_ID}'\n", ""))  # so that raws are compared by their paths
    output = bench.diff(state, 1)
    assert "the locations of files can't be checked" in output
    assert "is a Butler server, which doesn't return them" in output
    state.write_text(text.replace('table = "t.csv"', 'table = "t.csv"\nverify = "all"'))
    output = bench.diff(state, 1)
    assert "files on storage can't be checked" in output


FAULTS = [
    ("status 401", "v1", "the Butler server refused the access token (401 Unauthorized)", "BUTLER_RUBIN_ACCESS_TOKEN"),
    ("status 403", "v1", "the Butler server refused access to this repository (403 Forbidden)", "ask for membership"),
    ("status 404", "v1", "the Butler server doesn't know this repository (404 Not Found)", "is the name at the end of the URL"),
    ("status 500", "v1", "the Butler server answered 500 Internal Server Error", "report it"),
    ("reset", "v1", "the Butler server can't be reached", "is the server up"),
    ("hang 30", "v1", "the Butler server did not answer in time", "is it overloaded"),
    ("html", "v1", "the answer is not one of a Butler server", "is the URL right"),
    ("status 403", "yaml", "answered 403 Forbidden for butler.yaml", "may this user read there"),
    ("reset", "yaml", "can't be reached", "is it up"),
]


@pytest.mark.parametrize(("fault", "where", "message", "hint"), FAULTS, ids=[f"{fault} {where}" for fault, where, *_ in FAULTS])
@pytest.mark.parametrize("command", ["diff", "apply"])
def test_each_failure_of_a_server_has_a_message_without_the_token(
    butler_server: ButlerServer, sqlite_bench: Bench, token: None, command: str, fault: str, where: str, message: str, hint: str
) -> None:
    proxy = FaultProxy(butler_server.url)
    url = serve(butler_server, sqlite_bench).replace(butler_server.url, proxy.url)
    state = state_of(sqlite_bench, url)
    sqlite_bench.environment["RECONCILE_DATABASE_TIMEOUT"] = "1"
    begun = time.monotonic()
    with proxy.doing(fault, where):
        output = sqlite_bench.run("--debug", command, state, *(["--yes"] if command == "apply" else []), expect=1).output
    assert time.monotonic() - begun < 25
    assert message in output
    assert hint in output
    assert TOKEN not in output
    assert "in sync" not in output
    assert "2 differ" not in output


def test_a_server_that_stops_answering_during_a_check_is_not_waited_for_again(
    butler_server: ButlerServer, served_template: Template, tmp_path: Path
) -> None:
    bench = copy_world(served_template, tmp_path)
    proxy = FaultProxy(butler_server.url)
    state = through(butler_server, bench)
    state.write_text(state.read_text().replace(butler_server.url, proxy.url))
    bench.environment["RECONCILE_DATABASE_TIMEOUT"] = "2"
    with proxy.doing("hang 30", "query/"):
        begun = time.monotonic()
        output = bench.diff(state, 1)
        waits = sum("query/" in request for request in proxy.requests)
    assert "the Butler server did not answer in time" in output
    assert time.monotonic() - begun < 12
    assert waits <= 2


def test_a_token_that_is_missing_wrong_or_of_another_group_is_explained(
    butler_server: ButlerServer, sqlite_bench: Bench, token: None
) -> None:
    url = serve(butler_server, sqlite_bench)
    closed = butler_server.serve(f"closed{abs(hash(url)):x}", sqlite_bench.repo, "g_admins")
    assert "refused access to this repository (403 Forbidden)" in sqlite_bench.diff(state_of(sqlite_bench, closed), 1)
    sqlite_bench.environment["BUTLER_RUBIN_ACCESS_TOKEN"] = "gt-wrong-8c1d"
    output = sqlite_bench.diff(state_of(sqlite_bench, url), 1)
    assert "refused the access token (401 Unauthorized)" in output
    assert "gt-wrong" not in output
    del sqlite_bench.environment["BUTLER_RUBIN_ACCESS_TOKEN"]
    output = sqlite_bench.diff(state_of(sqlite_bench, url), 1)
    assert "there is no access token for the Butler server" in output
    assert "set BUTLER_RUBIN_ACCESS_TOKEN" in output


def test_a_repository_that_a_server_does_not_have_is_an_error(
    butler_server: ButlerServer, sqlite_bench: Bench, token: None
) -> None:
    url = f"{butler_server.url}/api/butler/repo/nope"
    assert "doesn't know this repository (404 Not Found)" in sqlite_bench.diff(state_of(sqlite_bench, url), 1)
    elsewhere = f"{butler_server.url}/elsewhere"
    assert f"no repository at {elsewhere}" in sqlite_bench.diff(state_of(sqlite_bench, elsewhere), 1)
    assert f"no repository at {elsewhere}" in sqlite_bench.apply(state_of(sqlite_bench, elsewhere), 1)


@pytest.mark.parametrize("universe", [None, "daf_butler", [7]])
def test_an_answer_that_is_no_universe_is_an_error_of_the_server(
    butler_server: ButlerServer, sqlite_bench: Bench, token: None, monkeypatch: pytest.MonkeyPatch, universe: Any
) -> None:
    proxy = FaultProxy(butler_server.url)
    url = serve(butler_server, sqlite_bench).replace(butler_server.url, proxy.url)
    forward = Handler._forward

    def change(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        status, headers, content = forward(handler, body)
        return status, headers, json.dumps({"universe": universe}).encode() if handler.path.endswith("/universe") else content

    monkeypatch.setattr(Handler, "_forward", change)
    output = " ".join(sqlite_bench.diff(state_of(sqlite_bench, url), 1).split())
    assert "could not be opened" in output
    assert "has no attribute 'get'" not in output


def test_a_universe_that_the_installed_butler_cannot_read_is_named_through_a_server(
    butler_server: ButlerServer, sqlite_bench: Bench, token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of a newer release sends its universe, which this client can't read."""
    proxy = FaultProxy(butler_server.url)
    url = serve(butler_server, sqlite_bench).replace(butler_server.url, proxy.url)
    forward = Handler._forward

    def change(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        status, headers, content = forward(handler, body)
        if handler.path.endswith("/universe"):
            answer = json.loads(content)
            answer["universe"]["version"] = 7100
            answer["universe"]["elements"]["visit"]["metadata"].append({"name": "spin", "type": "quaternion"})
            content = json.dumps(answer).encode()
        return status, headers, content

    monkeypatch.setattr(Handler, "_forward", change)
    output = " ".join(sqlite_bench.diff(state_of(sqlite_bench, url), 1).split())
    assert "can't read its dimension universe, version 7100 of daf_butler" in output
    assert "set up a newer stack" in output


def test_the_guide_works_with_a_server_and_shows_what_is_printed(butler_server: ButlerServer, sqlite_bench: Bench) -> None:
    sqlite_bench.apply(sqlite_bench.state('[collection."u/survey/night1"]\ntype = "RUN"\n'))
    folder = sqlite_bench.folder / "reader"
    folder.mkdir()
    reader = Reader(folder, {**os.environ, "BUTLER_RUBIN_ACCESS_TOKEN": TOKEN, "XDG_STATE_HOME": str(folder / "xdg")})
    reader.add_to_path(ROOT)
    page = (ROOT / "docs" / "how-to" / "butler-servers.md").read_text()
    reader.follow(page.replace("https://data.example.org/api/butler/repo/dp", serve(butler_server, sqlite_bench)))


def test_a_label_may_be_that_of_a_server(butler_server: ButlerServer, sqlite_bench: Bench, token: None) -> None:
    sqlite_bench.apply(sqlite_bench.state(RUN))
    index = sqlite_bench.folder / "index.yaml"
    index.write_text(f"main: {serve(butler_server, sqlite_bench)}/butler.yaml\n")
    sqlite_bench.environment["DAF_BUTLER_REPOSITORY_INDEX"] = str(index)
    assert "is in sync" in sqlite_bench.diff(state_of(sqlite_bench, "main"), 0)
    output = sqlite_bench.apply(state_of(sqlite_bench, "main", RUN + CHAIN), 1)
    assert f"Butler main {READ_ONLY}; 1 action needs a direct Butler (chain 1)" in output
