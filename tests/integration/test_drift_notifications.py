"""`reconcile drift --notify-file`, with a real HTTP receiver: messages, bad URLs and failing channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from faults import Scene
from receivers import WebReceiver, receive_web
from test_drift import STATE, postgres_history, watch, watched

from reconciler.playground.world import World
from reconciler.watch.state_report import StateReport, Verdict

__all__ = ["postgres_history", "watched"]  # fixtures
SECRET = "s3cr3t-t0ken-of-the-channel"


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with receive_web() as receiver:
        yield receiver


def notify_file(bench: Bench, *urls: str) -> Path:
    file = bench.folder / "notify.txt"
    file.write_text("".join(f"{url}\n" for url in urls))
    return file


def test_one_message_for_all_states_of_a_run(watched: Bench, web: WebReceiver) -> None:
    states = [watched.state(STATE), watched.state('[collection."u/b"]\ntype = "RUN"\n', "other.toml")]
    words = ("--notify-file", notify_file(watched, f"json://{web.address}/{SECRET}"))
    watched.run("drift", *states, *words, expect=2)
    watched.run("drift", *states, *words, expect=2)
    (message,) = web.messages
    assert message["title"] == "reconcile: 2 states: 3 unapplied"
    assert f"$ reconcile apply {states[0]}" in message["message"].splitlines()
    watched.apply(states[0])
    assert watched.run("drift", *states, *words, expect=2).exit_code == 2
    assert [message["title"] for message in web.messages[1:]] == ["reconcile: test: 2 resolved"]


def test_a_failing_channel_is_a_warning_and_the_message_comes_with_the_next_run(sqlite_bench: Bench, web: WebReceiver) -> None:
    state = sqlite_bench.state(STATE)
    words = ("--notify-file", notify_file(sqlite_bench, f"json://{web.address}/{SECRET}"))
    web.status = 500
    output = sqlite_bench.run("drift", state, *words, expect=2).output
    assert "notify.txt:1 (json): the notification was not sent: the server answered with HTTP status 500" in output
    assert output.count("warning: ") == 1
    assert "error: " not in output
    web.status = 200
    assert sqlite_bench.run("drift", state, *words, expect=2).output == ""
    assert [message["title"] for message in web.messages[1:]] == ["reconcile: test: 2 unapplied"]


@pytest.mark.parametrize("debug", [False, True])
def test_a_bad_url_is_one_error_and_the_check_is_done(sqlite_bench: Bench, web: WebReceiver, debug: bool) -> None:
    state = sqlite_bench.state(STATE)
    file = notify_file(sqlite_bench, f"slak://{SECRET}/b", f"json://{web.address}/{SECRET}", f"mailto://{SECRET}:x@nowhere/x")
    words = (*(["--debug"] if debug else []), "drift", state, "--notify-file", file)
    output = sqlite_bench.run(*words, expect=1).output
    assert output.count("error: ") == 1, output
    assert 'notify.txt:1: not a valid URL for notifications: no service has the scheme "slak"; did you mean "slack"?' in output
    assert "test has drift: 2 unapplied" in output
    assert SECRET not in output
    assert "Traceback" not in output
    assert len(web.messages) == 1, "the other channels are notified"
    output = sqlite_bench.run("drift", state, "--notify-file", sqlite_bench.folder / "missing.txt", expect=1).output
    assert (output.count("error: "), "missing.txt: the URLs of notifications can't be read" in output) == (1, True)


def test_without_its_history_a_watch_notifies_nothing_and_warns(sqlite_bench: Bench, web: WebReceiver) -> None:
    broken = sqlite_bench.folder / "broken.sqlite"
    broken.write_text("this is no database, and long enough to be looked at" * 20)
    file = notify_file(sqlite_bench, f"json://{web.address}/{SECRET}")
    words = ("--history", broken, "--notify-file", file)
    output = sqlite_bench.run("drift", sqlite_bench.state(STATE), *words, expect=1).output
    assert "warning: nothing was notified, because only the history knows what was notified before" in output
    assert web.messages == []


def test_twenty_states_of_which_one_hangs_and_one_is_unreachable(
    sqlite_bench: Bench, world: World, client: Any, web: WebReceiver
) -> None:
    chains = [f'[collection."u/run"]\ntype = "RUN"\n[chain.top{number}]\nchildren = ["u/run"]\n' for number in range(18)]
    states = [sqlite_bench.state(text, f"s{number:02}.toml") for number, text in enumerate(chains)]
    sqlite_bench.apply(sqlite_bench.state(chains[0] + "".join(text.partition('RUN"\n')[2] for text in chains[1:]), "all.toml"))
    (alone,) = watch(sqlite_bench, 0, states[0])
    assert isinstance(alone, StateReport)
    assert len(watch(sqlite_bench, 0, *states[1:], jobs=4)) == 17
    for number in range(18):
        sqlite_bench.butler.collections.redefine_chain(f"top{number}", [])
    scene = Scene(sqlite_bench.folder, world, client, sqlite_bench.repo)
    text = scene.state.read_text().replace("timeout = 1\n", "timeout = 300\n")
    scene.state.write_text(text)
    (sqlite_bench.folder / "closed.cfg").write_text(
        (sqlite_bench.folder / "rucio.cfg").read_text().replace(scene.proxy.url, "http://127.0.0.1:9")
    )
    unreachable = sqlite_bench.folder / "unreachable.toml"
    unreachable.write_text(text.replace('"rucio.cfg"', '"closed.cfg"'))
    urls = notify_file(sqlite_bench, f"json://{web.address}/{SECRET}")
    everything = (*states, scene.state, unreachable)
    with scene.proxy.doing("hang 600"):
        for number in (1, 2):
            reports = watch(sqlite_bench, number, *everything, jobs=4, timeout=20.0, notify_file=urls)
            found = {report.check.name: report for report in reports if isinstance(report, StateReport)}
            assert len(found) == len(reports) == 20, "nothing but reports: no trouble, nobody skipped"
            healthy = [found.pop(state.stem) for state in states]
            assert {(report.verdict, report.check.statements) for report in healthy} == {(Verdict.DRIFT, alone.check.statements)}
            addresses = [[finding.difference.address for finding in report.findings] for report in healthy]
            assert addresses == [[f"chain.top{number}"] for number in range(18)]
            assert {name: report.exit_code for name, report in found.items()} == {"s": 1, "unreachable": 1}
            assert found["s"].check.error == "the check didn't end within 20 s, and was stopped"
    assert [message["title"] for message in web.messages] == [
        "reconcile: 19 states: 18 drifted, 2 unapplied",
        "reconcile: 2 states: 2 unknown",
    ], "one message for each run"
