"""Saved plans, selection, removal, journal, locks and interruption: an apply does only what was reviewed, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Bench
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.plan_file import load_plan
from reconciler.errors import StateError, clean

RUNS = "".join(f'[collection.{name}]\ntype = "RUN"\n' for name in "abcdef")
CHAIN = '[chain.top]\nchildren = ["a", "b", "c", "d"]\n'


def children(bench: Bench) -> tuple[str, ...]:
    return tuple(bench.butler.collections.get_info("top").children)


# ------------------------------------------------------------------------------------------------- saved plans


@pytest.fixture
def plan(bench: Bench) -> Path:
    return bench.folder / "plan.json"


def test_an_apply_of_a_saved_plan_executes_its_actions(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS + CHAIN)
    bench.diff(state, 2, "--out", str(plan))
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert not bench.butler.collections.query("*")
    bench.run("apply", plan, "--yes", expect=0)
    bench.diff(state, 0)


def test_a_plan_that_was_saved_by_relative_paths_is_executed(bench: Bench, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.folder / "cat").mkdir()
    (bench.folder / "cat" / "1.json").write_text("{}")
    (bench.folder / "t.csv").write_text("file,htm7\n1.json,131072\n")
    state = bench.state(
        '[dataset_type.cat]\nstorage_class = "StructuredDataDict"\ndimensions = ["htm7"]\n'
        f'[file_ingest.run]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{bench.folder}/cat"\n'
        'formatter = "lsst.daf.butler.formatters.json.JsonFormatter"\n'
    )
    monkeypatch.chdir(bench.folder)
    bench.diff(Path(state.name), 2, "--out", plan.name)
    output = bench.run("apply", plan.name, "--yes", expect=0).output
    assert "efused" not in output
    bench.diff(state, 0)


def test_stale_entries_of_a_saved_plan_are_refused_and_the_others_are_executed(bench: Bench, plan: Path) -> None:
    from lsst.daf.butler import CollectionType

    state = bench.state(RUNS + CHAIN)
    bench.diff(state, 2, "--out", str(plan))
    for name in "ab":
        bench.butler.collections.register(name)
    bench.butler.collections.register("top", CollectionType.CHAINED)
    bench.butler.collections.redefine_chain("top", ["b", "a"])
    output = bench.run("apply", plan, "--yes", expect=2).output
    assert "Refused: chain.top: it changed since the plan was made: no such chain then, lacks c, d now" in output
    assert "Done since the plan was made: collection.a, collection.b" in output
    assert "Refused: collection" not in output
    assert children(bench) == ("b", "a")
    assert {"c", "d", "e", "f"} <= set(bench.butler.collections.query("*"))


def test_a_quiet_apply_of_a_saved_plan_names_what_is_refused_and_json_also_what_is_done_since(bench: Bench, plan: Path) -> None:
    from lsst.daf.butler import CollectionType

    state = bench.state(RUNS + CHAIN)
    bench.diff(state, 2, "--out", str(plan))
    for name in "ab":
        bench.butler.collections.register(name)
    bench.butler.collections.register("top", CollectionType.CHAINED)
    bench.butler.collections.redefine_chain("top", ["b", "a"])
    (made,) = json.loads(bench.run("apply", plan, "--yes", "--format", "json", expect=2).output)["states"]
    assert made["refused"] == ["chain.top"]
    assert made["done_since"] == ["collection.a", "collection.b"]
    (line,) = bench.run("apply", "-q", plan, "--yes", expect=2).output.splitlines()
    assert line.endswith(", blocked 1, failed 0; refused, because it changed since the plan was made: chain.top")


@pytest.mark.parametrize(
    "option",
    [("--site", "here"), ("--var", "a=1"), ("--only", "x"), ("--except", "x"), ("--prune",)],
)
def test_options_that_would_change_a_saved_plan_are_refused(bench: Bench, plan: Path, option: tuple[str, ...]) -> None:
    state = bench.state(RUNS)
    bench.diff(state, 2, "--out", str(plan))
    output = bench.run("apply", plan, "--yes", *option, expect=64).output
    assert f"a saved plan is applied as it is; give {option[0]} to reconcile plan --out" in output
    assert not bench.butler.collections.query("*")


def test_the_site_of_the_environment_does_not_concern_a_saved_plan(
    bench: Bench, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = bench.state(RUNS)
    bench.diff(state, 2, "--out", str(plan))
    monkeypatch.setenv("RECONCILE_SITE", "elsewhere")
    bench.run("apply", plan, "--yes", expect=0)


def test_a_difference_that_is_not_in_the_saved_plan_is_not_fixed(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS + CHAIN)
    bench.apply(state)
    bench.butler.collections.redefine_chain("top", ["b", "a", "c", "d"])
    bench.diff(state, 2, "--out", str(plan))
    bench.butler.registry.removeCollection("f")
    output = bench.run("apply", plan, "--yes", expect=2).output
    assert children(bench) == ("a", "b", "c", "d")
    assert "collection.f" in output
    assert "f" not in bench.butler.collections.query("*")


def test_a_plan_is_refused_after_its_state_was_changed(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS)
    bench.diff(state, 2, "--out", str(plan))
    state.write_text(state.read_text() + '[collection.more]\ntype = "RUN"\n')
    assert "the state was changed since the plan was made" in bench.run("apply", plan, "--yes", expect=1).output
    assert not bench.butler.collections.query("*")


def test_applying_a_plan_names_its_state_file_before_anything_else(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS)
    bench.diff(state, 2, "--out", str(plan))
    first, second = bench.run("apply", plan, "--yes", expect=0).output.splitlines()[:2]
    assert first == f"Plan for the state file {state}: 6 actions for 6 resources."
    assert second.startswith("Made by ")
    assert second.endswith(" s ago.")


def test_a_plan_that_was_done_since_leaves_nothing_to_do_and_nothing_refused(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS)
    bench.run("plan", state, "--out", plan, expect=2)
    bench.apply(state)
    output = bench.run("apply", plan, "--yes", expect=0).output
    assert "Done since the plan was made: collection.a, collection.b" in output
    assert "Refused" not in output
    assert "changed 0" in output


def test_a_saved_plan_is_shown_without_its_repository_and_with_whether_the_state_changed(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS)
    bench.run("plan", state, "--out", plan, expect=2)
    (bench.repo / "butler.yaml").rename(bench.folder / "away.yaml")
    output = bench.run("show", plan, expect=0).output
    assert "collection.a\n  register: no such collection\n" in output
    assert "was changed since" not in output
    state.write_text(state.read_text() + "# another byte\n")
    assert "The state file was changed since, so apply refuses this plan" in bench.run("show", plan, expect=0).output
    report = json.loads(bench.run("show", plan, "--format", "json", expect=0).output)
    assert (report["format"], report["state_unchanged"], report["actions"]) == (1, False, 6)
    state.unlink()
    assert "The state file can't be read here" in bench.run("show", plan, expect=0).output
    assert "not a plan file" in bench.run("show", bench.folder / "away.yaml", expect=1).output


def test_another_state_file_is_used_for_a_plan_only_if_it_is_named(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS)
    bench.diff(state, 2, "--out", str(plan))
    moved = bench.folder / "moved.toml"
    moved.write_text(state.read_text() + '[collection.more]\ntype = "RUN"\n')
    state.unlink()
    assert "no such file" in bench.run("apply", plan, "--yes", expect=1).output
    assert not bench.butler.collections.query("*")
    output = bench.run("apply", plan, "--yes", "--state", moved).output
    assert output.startswith(f"Plan for the state file {moved}, ")
    assert "a" in bench.butler.collections.query("*")
    assert "more" not in bench.butler.collections.query("*"), "it is not in the plan"


def test_the_state_option_belongs_to_a_saved_plan(bench: Bench) -> None:
    state = bench.state(RUNS)
    assert "--state names the state file of a saved plan" in bench.run("apply", state, "--state", state, expect=1).output


def test_a_plan_made_on_another_repository_is_refused(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS)
    bench.diff(state, 2, "--out", str(plan))
    document = json.loads(plan.read_text())
    document["butler"] = "/another/repository"
    plan.write_text(json.dumps(document))
    assert "made for another repository" in bench.run("apply", plan, "--yes", expect=1).output


def test_a_forged_plan_cannot_do_anything_that_its_state_does_not_require(bench: Bench, plan: Path) -> None:
    state = bench.state(RUNS)
    bench.apply(state)
    bench.butler.registry.removeCollection("f")
    bench.diff(state, 2, "--out", str(plan))
    document = json.loads(plan.read_text())
    (entry,) = document["entries"]
    (action,) = entry["actions"]
    action["arguments"] = {"type": "TAGGED"}
    forged = {"verb": "remove", "reason": "no longer needed", "datasets": 0, "removes": 1, "arguments": {"type": "RUN"}}
    entry["actions"].append(forged)
    document["entries"] += [{**entry, "name": "evil"}, {**entry, "name": "a"}, {**entry, "kind": "chain", "name": "f"}]
    document["prune"] = True
    plan.write_text(json.dumps(document))
    output = bench.run("apply", plan, "--yes", expect=0).output
    assert "Refused: collection.evil: it is not in the state" in output
    assert "Done since the plan was made: collection.a" in output  # as the state wants it, whatever the plan says
    assert {info.name: info.type.name for info in bench.butler.collections.query_info("*")} == dict.fromkeys("abcdef", "RUN")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | st.just(b"[" * 100_000))
def test_arbitrary_bytes_as_a_plan_are_refused_with_one_line_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("plan") / "p.json"
    path.write_bytes(b"{" + content)
    with pytest.raises(StateError) as caught:
        load_plan(path)
    assert caught.value.problems == [str(caught.value)]
    assert str(caught.value).startswith(f"{path}: not a plan file: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_variable_that_looks_like_a_secret_is_not_saved(bench: Bench, plan: Path) -> None:
    state = bench.state('[vars]\ndb_password = "x"\n' + RUNS)
    assert "seem to be secrets" in bench.diff(state, 1, "--out", str(plan))
    assert not plan.exists()


# --------------------------------------------------------------------------------------------------- selection


def test_resources_needed_by_the_selected_ones_are_named_and_can_be_included(bench: Bench) -> None:
    state = bench.state(RUNS + CHAIN)
    bench.apply(state)
    output = bench.diff(state, 0, "--only", "chain.*")
    assert "Not checked, but needed: repository, collection.a" in output
    assert "7 resources" not in bench.diff(state, 0, "--only", "chain.*")
    assert "6 resources" in bench.diff(state, 0, "--only", "chain.*", "--with-needs")
    assert "7 resources" in bench.diff(state, 0, "--except", "chain.*")


# ------------------------------------------------------------------------------------------------------ removal


def test_unwanted_children_are_removed_with_prune_and_shown_in_their_own_section(bench: Bench) -> None:
    state = bench.state(RUNS + CHAIN)
    bench.apply(state)
    bench.butler.collections.redefine_chain("top", ["a", "b", "e", "c", "d"])
    output = bench.apply(state, 0, "--prune")
    assert output.index("To be removed:") < output.index("Plan:")
    assert children(bench) == ("a", "b", "c", "d")
    assert "e" in bench.butler.collections.query("*")


def test_removals_beyond_the_default_limit_are_refused_without_prune_limit(bench: Bench) -> None:
    state = bench.state(RUNS + CHAIN)
    bench.apply(state)
    bench.butler.collections.redefine_chain("top", ["a", "b", "c", "d", "e", "f"])
    output = bench.apply(state, 1, "--prune")
    assert "2 of 6 members would be removed, more than 30%" in output
    assert "--prune-limit 2" in output
    assert len(children(bench)) == 6
    bench.apply(state, 1, "--prune", "--prune-limit", "1")
    bench.apply(state, 0, "--prune", "--prune-limit", "2")
    assert len(children(bench)) == 4


def test_members_of_a_protected_resource_are_kept_and_other_resources_are_applied(bench: Bench) -> None:
    state = bench.state(RUNS + CHAIN + "protect = true\n")
    bench.apply(state)
    bench.butler.collections.redefine_chain("top", ["a", "b", "c", "d", "e"])
    bench.butler.registry.removeCollection("f")
    output = bench.apply(state, 2, "--prune")
    assert "(protected: kept)" in output
    assert children(bench) == ("a", "b", "c", "d", "e")
    assert "f" in bench.butler.collections.query("*")


@pytest.mark.parametrize(("typed", "left"), [("y\n1\n", 4), ("y\n7\n", 5), ("n\n", 5)])
def test_a_removal_is_confirmed_separately_by_typing_the_number_of_members(bench: Bench, typed: str, left: int) -> None:
    from click.testing import CliRunner

    from reconciler.cli import main

    state = bench.state(RUNS + CHAIN)
    bench.apply(state)
    bench.butler.collections.redefine_chain("top", ["a", "b", "c", "d", "e"])
    CliRunner().invoke(main, ["apply", str(state), "--prune"], input=typed, env=bench.environment)
    assert len(children(bench)) == left


def test_members_that_became_unwanted_after_the_question_are_not_removed(bench: Bench) -> None:
    """While the operator reads the question, others put a collection into the chain that the state doesn't list."""
    state = bench.state(RUNS + CHAIN)
    bench.apply(state)
    bench.butler.collections.redefine_chain("top", ["a", "b", "c", "d", "e"])
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", str(state), "--prune"],
        env=os.environ | bench.environment, cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    printed = ""
    while "Apply?" not in printed:
        printed += process.stdout.read(1)  # type: ignore[union-attr]
    bench.butler.collections.redefine_chain("top", ["a", "b", "c", "d", "e", "f"])
    output, _ = process.communicate("y\n1\n", timeout=60)
    assert process.returncode == 2, output
    assert "1 member was not confirmed for removal, such as f" in " ".join(output.split())
    assert children(bench) == ("a", "b", "c", "d", "e", "f")


# ------------------------------------------------------------------------------------------------------ journal


def test_every_action_is_recorded_in_a_journal_that_only_its_owner_can_read(bench: Bench) -> None:
    state = bench.state(RUNS + CHAIN)
    bench.apply(state)
    path = Path(bench.environment["XDG_STATE_HOME"]) / "rubin-reconciler" / "journal.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["event"] for event in events][:2] == ["begin", "action begins"]
    assert events[-1]["event"] == "end"
    assert events[-1]["counts"] == {"ok": 1, "changed": 7}
    bench.apply(state)
    assert len(path.read_text().splitlines()) == len(events)
    run = events[0]["run"]
    assert run in bench.run("log", expect=0).output
    output = bench.run("log", "--address", "chain.*", expect=0).output
    assert "chain.top   redefine   done   no such chain" in output
    assert "collection.a" in bench.run("log", "--run", run, expect=0).output


def test_a_journal_that_cannot_be_written_stops_an_apply_before_anything_is_changed(bench: Bench) -> None:
    state = bench.state(RUNS)
    (bench.folder / "file").write_text("")
    output = bench.apply(state, 1, "--journal", str(bench.folder / "file" / "journal"))
    assert "can't be written" in output
    assert not bench.butler.collections.query("*")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@db/x failed", "postgresql://me:***@db/x failed"),
        ("X-Rucio-Auth-Token: abc.def", "X-Rucio-Auth-Token: ***"),
        ("password=hunter2 host=db", "password=*** host=db"),
        ("connect(password='hunter2')", "connect(password=***)"),
    ],
)
def test_credentials_in_messages_of_libraries_are_masked(text: str, shown: str) -> None:
    assert clean(text) == shown


# ------------------------------------------------------------------------------------------ locks and interruption


def spawn(bench: Bench, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "reconciler", *map(str, words)],
        env=os.environ | bench.environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


SLOW = '[raw."x/raw"]\ninstrument = "LSSTComCam"\nlocations = ["{}"]\n'


def waiting_apply(bench: Bench) -> tuple[Path, subprocess.Popen[str]]:
    """Start an apply that holds its lock while it waits for confirmation."""
    state = bench.state(RUNS)
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", str(state)],
        env=os.environ | bench.environment,
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    printed = ""
    while "Plan:" not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    return state, process


def test_a_second_apply_reports_who_holds_the_lock_and_a_diff_needs_no_lock(bench: Bench) -> None:
    state, first = waiting_apply(bench)
    try:
        output = bench.apply(state, 75)
        assert "is locked: " in output
        assert "has held it since 20" in output
        assert "--lock-timeout" in output
        bench.diff(state, 2)
    finally:
        first.kill()
        first.wait()
    bench.apply(state, 0)


def test_a_second_apply_can_wait_for_the_lock(bench: Bench) -> None:
    state, first = waiting_apply(bench)
    second = spawn(bench, "apply", state, "--yes", "--lock-timeout", "1m")
    time.sleep(3)
    assert second.poll() is None
    out, _ = first.communicate("y\n", timeout=60)
    assert first.returncode == 0, out
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 0, out
    assert "in sync" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_between_two_actions_with_a_summary(bench: Bench, number: int) -> None:
    names = [f"c{n}" for n in range(120)]
    state = bench.state("".join(f'[collection.{name}]\ntype = "RUN"\n' for name in names))
    process = spawn(bench, "apply", state, "--yes")
    assert process.stdout is not None
    printed = ""
    while "register" not in printed:
        printed += process.stdout.readline()
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Interrupted: what is done stays" in out
    assert 0 < len(bench.butler.collections.query("*")) < len(names)
    journal = Path(bench.environment["XDG_STATE_HOME"]) / "rubin-reconciler" / "journal.jsonl"
    assert json.loads(journal.read_text().splitlines()[-1])["interrupted"] is True


def test_a_second_ctrl_c_ends_a_run_immediately_and_the_next_apply_completes_it(bench: Bench) -> None:
    names = [f"c{n}" for n in range(120)]
    state = bench.state("".join(f'[collection.{name}]\ntype = "RUN"\n' for name in names))
    process = spawn(bench, "apply", state, "--yes")
    assert process.stdout is not None
    printed = ""
    while "register" not in printed:
        printed += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    bench.apply(state, 0)


def test_a_full_disk_is_reported_and_the_next_apply_completes_the_work(sqlite_bench: Bench) -> None:
    """A limit on the size of files simulates a full disk: the database can't grow."""
    import resource

    state = sqlite_bench.state("".join(f'[collection.{"c" * 200}{n}]\ntype = "RUN"\n' for n in range(120)))
    size = (sqlite_bench.repo / "gen3.sqlite3").stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, size + 8192))

    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "apply", str(state), "--yes"],
        env=os.environ | sqlite_bench.environment,
        cwd=ROOT,
        text=True,
        capture_output=True,
        preexec_fn=limit,
    )
    assert done.returncode == 1, done.stdout
    assert "the disk is full or broken" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    sqlite_bench.apply_and_check(state)


def test_a_plan_from_before_the_repository_existed_executes_the_entries_that_still_apply(
    empty_bench: Bench, template: Path
) -> None:
    import shutil

    state, plan = empty_bench.state(RUNS + CHAIN), empty_bench.folder / "plan.json"
    empty_bench.diff(state, 2, "--out", str(plan))
    shutil.copytree(template, empty_bench.repo)
    output = empty_bench.run("apply", plan, "--yes", expect=0).output
    assert "Done since the plan was made: repository\n" in output
    assert "Refused" not in output
    assert children(empty_bench) == ("a", "b", "c", "d")


def test_a_call_that_failed_after_its_effect_is_reported_with_its_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either somebody else was quicker, or the answer was lost: the second observation shows the whole effect."""
    from reconciler.kinds.dataset_type import KIND

    state = bench.state('[dataset_type.x]\nstorage_class = "StructuredDataDict"\ndimensions = ["htm7"]\n')
    original = type(KIND).apply

    def raced(self: Any, live: Any, action: Any) -> Any:
        from reconciler.errors import ApplyError

        original(self, live, action)
        raise ApplyError("ConflictingDefinitionError: somebody was quicker")

    monkeypatch.setattr(type(KIND), "apply", raced)
    output = bench.apply(state, 0)
    assert "done, although it reported an error" in output
    assert "somebody was quicker" in output
    assert "changed 1 " in output
