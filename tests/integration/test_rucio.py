"""Rucio datasets, containers, rules and deliveries, on a real server."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench

from reconciler.playground import mover
from reconciler.playground.world import SLAC, World

AddFiles = Callable[..., list[str]]


def only_rucio(bench: Bench, text: str) -> Path:
    path = bench.folder / "rucio.toml"
    path.write_text('[reconcile]\nversion = 1\n[rucio]\nrse = "IN2P3_RAW_DISK"\n' + text)
    return path


def rules(client: Any, scope: str, name: str) -> list[dict[str, Any]]:
    return list(client.list_did_rules(scope, name))


RULE = 'rules = [{ rse_expression = "IN2P3_RAW_DISK" }]\n'


def test_an_open_dataset_is_created_and_gets_its_rule(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d{{1..3}}"]\nopen = true\n{RULE}')
    assert "no such dataset" in rucio_bench.diff(state, 2)
    assert not list(client.list_dids(fresh_scope, [{"name": "*"}], did_type="dataset"))
    rucio_bench.apply_and_check(state)
    assert len(rules(client, fresh_scope, "d2")) == 1


def test_an_apply_without_a_repository_reports_that_rucio_has_no_lock(rucio_bench: Bench, fresh_scope: str) -> None:
    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\n')
    assert "Rucio has no lock: only other applies of this user on this machine are kept out." in rucio_bench.apply(state)


def test_a_dataset_that_no_key_creates_is_blocked_and_the_others_are_created(
    rucio_bench: Bench, client: Any, fresh_scope: str
) -> None:
    state = only_rucio(
        rucio_bench,
        f'[rucio_dataset."{fresh_scope}:theirs"]\n{RULE}[rucio_dataset."{fresh_scope}:ours"]\nopen = true\n',
    )
    assert "set `open = true` or add `register = {…}` to create it" in rucio_bench.apply(state, 2)
    assert client.get_did(fresh_scope, "ours")


def test_an_open_dataset_is_closed(rucio_bench: Bench, client: Any, fresh_scope: str, add_files: AddFiles) -> None:
    add_files(fresh_scope, "d", 3)
    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d"]\nopen = false\nfiles = 3\n')
    assert "open   True → False" in rucio_bench.diff(state, 2)
    rucio_bench.apply_and_check(state)
    assert client.get_did(fresh_scope, "d")["open"] is False


def test_a_closed_dataset_that_should_be_open_is_reported_and_not_changed(
    rucio_bench: Bench, fresh_scope: str, add_files: AddFiles
) -> None:
    add_files(fresh_scope, "d", 1, close=True)
    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\n')
    assert "only an administrator" in rucio_bench.apply(state, 2)


def test_a_replicating_rule_is_waited_for_and_a_delivered_one_is_in_sync(
    rucio_bench: Bench, client: Any, world: World, fresh_scope: str
) -> None:
    from reconciler.playground import catalog

    folder = world.storage(SLAC) / fresh_scope
    folder.mkdir(parents=True)
    (folder / "f.fits").write_text("bytes")
    catalog.register(client, world, fresh_scope, {"d": [folder / "f.fits"]}, close=True)
    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d"]\n{RULE}')
    assert "replicating: rule IN2P3_RAW_DISK × 1, 0 of 1 files" in rucio_bench.apply(state, 2)
    mover.deliver(client, world)
    assert "in sync" in rucio_bench.diff(state, 0)


def test_a_stuck_rule_is_reported_with_its_age(rucio_bench: Bench, client: Any, fresh_scope: str, add_files: AddFiles) -> None:
    names = add_files(fresh_scope, "d", 3, close=True)
    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d"]\n{RULE}')
    rucio_bench.apply(state, 2)
    client.update_replicas_states("IN2P3_RAW_DISK", [{"scope": fresh_scope, "name": names[0], "state": "U"}])
    assert "stuck for" in rucio_bench.diff(state, 2)


@pytest.mark.parametrize("expression", ["SLAC_BUTLER_DISK|IN2P3_RAW_DISK", "IN2P3_RAW_DISK|SLAC_BUTLER_DISK"])
def test_a_rule_with_more_copies_is_moved_and_nothing_is_removed(
    rucio_bench: Bench, client: Any, fresh_scope: str, expression: str
) -> None:
    head = f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\nrules = [{{ rse_expression = "EXPRESSION" }}]\n'
    rucio_bench.apply_and_check(only_rucio(rucio_bench, head.replace("EXPRESSION", "SLAC_BUTLER_DISK|IN2P3_RAW_DISK")))
    state = only_rucio(rucio_bench, head.replace('EXPRESSION"', f'{expression}", copies = 2'))
    shown = rucio_bench.diff(state, 2)
    assert f"move rule {expression} × 2: it is" in shown
    assert "Nothing to remove" in shown
    rucio_bench.apply(state, 0)
    children = [rule for rule in rules(client, fresh_scope, "d") if rule["copies"] == 2]
    assert len(children) == 1
    assert "is in sync" in rucio_bench.diff(state, 0)


def test_a_rule_elsewhere_is_kept_when_another_one_is_wanted(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    theirs = '[{ rse_expression = "SLAC_BUTLER_DISK" }]'
    head = f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\n'
    rucio_bench.apply_and_check(only_rucio(rucio_bench, f"{head}rules = {theirs}\n"))
    (old,) = rules(client, fresh_scope, "d")
    state = only_rucio(rucio_bench, head + RULE)
    assert "replicate rule IN2P3_RAW_DISK × 1: no such rule" in rucio_bench.diff(state, 2, "--prune")
    rucio_bench.apply(state, 0, "--prune")
    assert {rule["rse_expression"]: rule["expires_at"] for rule in rules(client, fresh_scope, "d")} == {
        "SLAC_BUTLER_DISK": None,
        "IN2P3_RAW_DISK": None,
    }
    assert client.get_replication_rule(old["id"])["child_rule_id"] is None
    assert "is in sync" in rucio_bench.diff(state, 0)


def replacement(bench: Bench, scope: str, more: str = "") -> Path:
    """A state that replaces the rule at SLAC, which a first apply made."""
    head = f'[rucio_dataset."{scope}:d"]\nopen = true\n'
    bench.apply_and_check(only_rucio(bench, f'{head}rules = [{{ rse_expression = "SLAC_BUTLER_DISK" }}]\n'))
    return only_rucio(bench, f'{head}{more}rules = [{{ rse_expression = "IN2P3_RAW_DISK", replaces = "SLAC_BUTLER_DISK" }}]\n')


def test_a_rule_that_the_state_replaces_counts_as_a_removal(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    state = replacement(rucio_bench, fresh_scope)
    (old,) = rules(client, fresh_scope, "d")
    shown = rucio_bench.diff(state, 2)
    assert "moves a rule to IN2P3_RAW_DISK × 1: replaces SLAC_BUTLER_DISK × 1; copies that only that rule kept expire" in shown
    assert "Nothing to remove" not in shown
    refused = rucio_bench.apply(state, 1)
    assert "1 member to remove" in refused
    assert "use --prune-limit 1" in refused
    assert client.get_replication_rule(old["id"])["child_rule_id"] is None
    rucio_bench.apply(state, 0, "--prune-limit", "1")
    (new,) = [rule for rule in rules(client, fresh_scope, "d") if rule["rse_expression"] == "IN2P3_RAW_DISK"]
    assert new["id"] not in ("", old["id"])
    assert "is in sync" in rucio_bench.diff(state, 0) or "being moved" in rucio_bench.diff(state, 2)


def test_a_saved_plan_without_the_replacement_does_not_replace(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    """When the plan was saved, there was no rule to replace, and the missing one was to be added."""
    client.add_dataset(fresh_scope, "d")
    rule = '{ rse_expression = "IN2P3_RAW_DISK", replaces = "SLAC_BUTLER_DISK" }'
    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\nrules = [{rule}]\n')
    plan = rucio_bench.folder / "plan.json"
    assert "Nothing to remove" in rucio_bench.run("diff", state, "--out", plan, expect=2).output
    client.add_replication_rule([{"scope": fresh_scope, "name": "d"}], 1, "SLAC_BUTLER_DISK")
    assert "moves a rule to IN2P3_RAW_DISK" in rucio_bench.diff(state, 2), "it would be replaced now"
    output = rucio_bench.run("apply", plan, "--yes", "--prune-limit", "5", expect=2).output
    assert "Refused" in output
    (rule_of_others,) = rules(client, fresh_scope, "d")
    assert rule_of_others["rse_expression"] == "SLAC_BUTLER_DISK"
    assert rule_of_others["child_rule_id"] is None
    assert rule_of_others["expires_at"] is None


def test_a_protected_dataset_loses_no_rule(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    state = replacement(rucio_bench, fresh_scope, "protect = true\n")
    assert "the rules of a protected dataset are not replaced" in rucio_bench.diff(state, 1)
    head = f'[rucio_dataset."{fresh_scope}:e"]\nopen = true\nprotect = true\n'
    both = 'rules = [{ rse_expression = "SLAC_BUTLER_DISK|IN2P3_RAW_DISK", copies = 2 }]\n'
    rucio_bench.apply_and_check(only_rucio(rucio_bench, head + both))
    fewer = only_rucio(rucio_bench, head + both.replace(", copies = 2", ""))
    assert "the dataset is protected" in rucio_bench.apply(fewer, 2, "--prune", "--prune-limit", "9")
    (rule,) = rules(client, fresh_scope, "e")
    assert (rule["copies"], rule["child_rule_id"]) == (2, None)


def test_a_deleted_rule_is_restored_and_its_activity_is_updated(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    head = f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\n'
    state = only_rucio(rucio_bench, head + RULE)
    rucio_bench.apply_and_check(state)
    (rule,) = rules(client, fresh_scope, "d")
    client.delete_replication_rule(rule["id"])
    assert "it expires" in rucio_bench.diff(state, 2)
    rucio_bench.apply_and_check(state)
    (same,) = rules(client, fresh_scope, "d")
    assert same["id"] == rule["id"]
    more = RULE.replace(" }]", ', activity = "Data Rebalancing", comment = "why" }]')
    rucio_bench.apply_and_check(only_rucio(rucio_bench, head + more))


@pytest.fixture
def other_account(client: Any) -> str:
    """An account that isn't the one of the tests, with any quota."""
    name = f"a{uuid.uuid4().hex[:8]}"
    client.add_account(name, "USER", f"{name}@example.org")
    client.set_local_account_limit(name, "SLAC_BUTLER_DISK", -1)
    return name


def test_rules_that_no_table_lists_are_no_difference_unless_the_mode_is_exact(
    rucio_bench: Bench, client: Any, fresh_scope: str, other_account: str
) -> None:
    text = f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\n{RULE}'
    state = only_rucio(rucio_bench, text)
    rucio_bench.apply_and_check(state)
    did = [{"scope": fresh_scope, "name": "d"}]
    client.add_replication_rule(did, 1, "SLAC_BUTLER_DISK")
    client.add_replication_rule(did, 1, "SLAC_BUTLER_DISK", account=other_account)
    client.update_replication_rule(next(client.list_did_rules(**did[0]))["id"], {"comment": "looked at"})
    stuck = next(rule["id"] for rule in client.list_did_rules(**did[0]) if rule["account"] == other_account)
    client.update_replication_rule(stuck, {"state": "STUCK"})
    assert "is in sync" in rucio_bench.diff(state, 0, "--prune")
    exact = only_rucio(rucio_bench, text + 'rules_mode = "exact"\n')
    assert "kept without --prune" in rucio_bench.diff(exact, 2)
    rucio_bench.apply(exact, 2)
    protected = only_rucio(rucio_bench, text + 'rules_mode = "exact"\nprotect = true\n')
    rucio_bench.apply(protected, 2, "--prune", "--prune-limit", "9")
    assert [rule["expires_at"] for rule in rules(client, fresh_scope, "d")] == [None] * 3
    exact = only_rucio(rucio_bench, text + 'rules_mode = "exact"\n')
    rucio_bench.apply(exact, 0, "--prune", "--prune-limit", "1")
    expiring = {(r["account"], r["rse_expression"]): r["expires_at"] is not None for r in rules(client, fresh_scope, "d")}
    assert expiring == {
        ("root", "IN2P3_RAW_DISK"): False,
        ("root", "SLAC_BUTLER_DISK"): True,
        (other_account, "SLAC_BUTLER_DISK"): False,
    }


def test_rules_to_update_count_as_members_that_stay_when_another_rule_is_removed(
    rucio_bench: Bench, client: Any, fresh_scope: str
) -> None:
    places = ("IN2P3_RAW_DISK", "SLAC_BUTLER_DISK", "IN2P3_RAW_DISK|SLAC_BUTLER_DISK")

    def listing(comment: str) -> Path:
        listed = ", ".join(f'{{ rse_expression = "{place}", comment = "{comment}" }}' for place in places)
        head = f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\nrules_mode = "exact"\n'
        return only_rucio(rucio_bench, f"{head}rules = [{listed}]\n")

    rucio_bench.apply_and_check(listing("one"))
    client.add_replication_rule([{"scope": fresh_scope, "name": "d"}], 2, "IN2P3_RAW_DISK|SLAC_BUTLER_DISK")
    rucio_bench.apply(listing("two"), 0, "--prune")  # one of four, which is below the limit of 30 %
    assert sum(rule["expires_at"] is not None for rule in rules(client, fresh_scope, "d")) == 1


def test_a_rule_stays_while_the_one_that_takes_its_place_is_refused(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    text = f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\nrules_mode = "exact"\n{RULE}'
    rucio_bench.apply_and_check(only_rucio(rucio_bench, text))
    mistyped = only_rucio(rucio_bench, text.replace("IN2P3_RAW_DISK", "IN2P3_RAW_DISC"))
    rucio_bench.apply(mistyped, 2, "--prune", "--prune-limit", "9")
    assert [rule["expires_at"] for rule in rules(client, fresh_scope, "d")] == [None]


def test_a_rule_that_is_listed_twice_is_added_once_to_a_new_dataset(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    twice = RULE.replace("}]", '}, { rse_expression = "IN2P3_RAW_DISK", account = "root" }]')
    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\n{twice}')
    assert "rules[1] is the same rule as rules[0]" in rucio_bench.diff(state, 2)
    output = rucio_bench.apply(state, 2)
    assert "Somebody made it meanwhile" not in output
    assert len(rules(client, fresh_scope, "d")) == 1


def test_the_files_of_a_dataset_that_was_opened_again_are_counted(
    rucio_bench: Bench, client: Any, fresh_scope: str, add_files: AddFiles
) -> None:
    """Rucio leaves the recorded number as it was when the dataset was closed."""
    add_files(fresh_scope, "d", 2, close=True)
    add_files(fresh_scope, "other", 1)
    client.set_status(fresh_scope, "d", open=True)
    client.add_files_to_dataset(
        fresh_scope, "d", [{"scope": row["scope"], "name": row["name"]} for row in client.list_files(fresh_scope, "other")]
    )
    table = f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\nfiles = '
    assert "is in sync" in rucio_bench.diff(only_rucio(rucio_bench, table + "3\n"), 0)
    assert "3 → 2" in rucio_bench.diff(only_rucio(rucio_bench, table + "2\n"), 2)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('rse_expression = "NOWHERE"', 'rules[0]: rse_expression: Rucio has no RSE "NOWHERE"'),
        ('rse_expression = "IN2P3_RAW_DISK", copies = 5', "rules[0]: copies: 5 on different RSEs, and IN2P3_RAW_DISK matches 1"),
        ('rse_expression = "IN2P3_RAW_DISK", account = "nobody"', 'rules[0]: account: Rucio has no account "nobody"'),
    ],
)
def test_a_rule_that_rucio_would_refuse_is_reported_and_blocks_nothing_else(
    rucio_bench: Bench, client: Any, fresh_scope: str, rule: str, message: str
) -> None:
    text = f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\nrules = [{{ {rule} }}]\n'
    state = only_rucio(rucio_bench, text + f'[rucio_dataset."{fresh_scope}:other"]\nopen = true\n')
    output = rucio_bench.apply(state, 2)
    assert message in output
    assert "Traceback" not in output
    assert client.get_did(fresh_scope, "other")


def test_missing_contents_are_attached_to_a_container(rucio_bench: Bench, client: Any, fresh_scope: str) -> None:
    text = "".join(f'[rucio_dataset."{fresh_scope}:d{n}"]\nopen = true\n' for n in (1, 2))
    text += f'[rucio_container."{fresh_scope}:c"]\ncontents = ["{fresh_scope}:d1", "{fresh_scope}:d2"]\n'
    state = only_rucio(rucio_bench, text)
    rucio_bench.apply_and_check(state)
    client.detach_dids(fresh_scope, "c", [{"scope": fresh_scope, "name": "d2"}])
    assert "contents: 1 of 2 missing" in rucio_bench.diff(state, 2)
    rucio_bench.apply_and_check(state)


def test_files_that_rucio_has_not_delivered_are_waited_for_and_the_rest_is_ingested(
    comcam: Bench, client: Any, world: World, fresh_scope: str
) -> None:
    from reconciler.playground import catalog

    folder = world.storage(SLAC) / fresh_scope / "cat"
    folder.mkdir(parents=True)
    files = [folder / f"{pixel}.fits" for pixel in (131072, 131073)]
    for file in files:
        file.write_text("stars")
    catalog.register(client, world, fresh_scope, {"one": files[:1], "two": files[1:]}, close=True)
    catalog.replicate(client, fresh_scope, ["one"])
    mover.deliver(client, world)
    here = world.storage("IN2P3_RAW_DISK") / fresh_scope / "cat"
    (comcam.folder / "t.csv").write_text("file,htm7\n131072.fits,131072\n131073.fits,131073\n")
    state = comcam.state(
        '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
        f'[file_ingest.run]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{here}"\ndelivered_by = ["{fresh_scope}:*"]\n',
        rucio=True,
    )
    output = comcam.apply(state, 2)
    assert f"waiting for {fresh_scope}:*, 1 of 2 files here" in output
    assert "waiting 1" in output
    assert len(comcam.butler.query_datasets("cat", "run")) == 1
    catalog.replicate(client, fresh_scope, ["two"])
    mover.deliver(client, world)
    comcam.apply_and_check(state)


@pytest.mark.parametrize("absent", ["two", "two*"])
def test_delivered_files_are_ingested_although_another_dataset_does_not_exist_yet(
    comcam: Bench, client: Any, world: World, fresh_scope: str, absent: str
) -> None:
    from reconciler.playground import catalog

    folder = world.storage(SLAC) / fresh_scope / "cat"
    folder.mkdir(parents=True)
    (folder / "131072.fits").write_text("stars")
    catalog.register(client, world, fresh_scope, {"one": [folder / "131072.fits"]}, close=True)
    catalog.replicate(client, fresh_scope, ["one"])
    mover.deliver(client, world)
    here = world.storage("IN2P3_RAW_DISK") / fresh_scope / "cat"
    (comcam.folder / "t.csv").write_text("file,htm7\n131072.fits,131072\n131073.fits,131073\n")
    state = comcam.state(
        '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
        f'[file_ingest.run]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{here}"\n'
        f'delivered_by = ["{fresh_scope}:one", "{fresh_scope}:{absent}"]\n',
        rucio=True,
    )
    assert f"1 of 1 files here; {fresh_scope}:{absent} not registered in Rucio yet" in comcam.apply(state, 2)
    assert len(comcam.butler.query_datasets("cat", "run")) == 1


@pytest.mark.parametrize("pattern", ["box", "bo*", "b?x"])
def test_files_that_a_container_delivers_are_waited_for_whether_it_is_named_or_matched(
    comcam: Bench, client: Any, world: World, fresh_scope: str, pattern: str
) -> None:
    from reconciler.playground import catalog

    folder = world.storage(SLAC) / fresh_scope / "cat"
    folder.mkdir(parents=True)
    files = [folder / f"{pixel}.fits" for pixel in (131072, 131073)]
    for file in files:
        file.write_text("stars")
    catalog.register(client, world, fresh_scope, {"one": files[:1], "two": files[1:]}, close=True)
    client.add_container(fresh_scope, "box")
    client.add_datasets_to_container(fresh_scope, "box", [{"scope": fresh_scope, "name": name} for name in ("one", "two")])
    catalog.replicate(client, fresh_scope, ["one"])
    mover.deliver(client, world)
    here = world.storage("IN2P3_RAW_DISK") / fresh_scope / "cat"
    (comcam.folder / "t.csv").write_text("file,htm7\n131072.fits,131072\n131073.fits,131073\n")
    state = comcam.state(
        '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
        f'[file_ingest.run]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{here}"\n'
        f'delivered_by = ["{fresh_scope}:{pattern}"]\n',
        rucio=True,
    )
    assert f"waiting for {fresh_scope}:{pattern}, 1 of 2 files here" in comcam.apply(state, 2)
    assert len(comcam.butler.query_datasets("cat", "run")) == 1


def test_the_expected_count_can_be_the_number_of_files_of_a_did(
    comcam: Bench, world: World, fresh_scope: str, add_files: AddFiles
) -> None:
    add_files(fresh_scope, "d", 4, close=True)
    comcam.butler.collections.register("run")
    state = comcam.state(
        f'[expect.e]\ndataset_type = "raw"\ncollections = ["run"]\ndid = "{fresh_scope}:d"\nfiles = "*_[0-2].fits"\n', rucio=True
    )
    assert "0 datasets, 3 expected" in comcam.diff(state, 2)


@pytest.mark.parametrize("repo", ["/repo/main", "davs://nowhere.invalid/main"])
def test_the_commands_to_run_at_the_source_are_shown_if_its_repository_cannot_be_opened(
    rucio_bench: Bench, fresh_scope: str, repo: str
) -> None:
    state = only_rucio(
        rucio_bench,
        f'[rucio_dataset."{fresh_scope}:d"]\nregister = {{ repo = "{repo}", dataset_types = ["flat"], '
        f'collections = ["calib"], config = "r.yaml" }}\n{RULE}[rucio_dataset."{fresh_scope}:other"]\nopen = true\n',
    )
    output = rucio_bench.apply(state, 2)
    assert f"register at the source: {repo} can't be opened here" in output
    assert "$ rucio-register data-products --chunk-size 30" in output
    assert f"$ rucio did update --close {fresh_scope}:d" in output
    assert "changed 1" in output


def test_a_state_without_butler_never_imports_it(rucio_bench: Bench, fresh_scope: str) -> None:
    import os
    import subprocess
    import sys

    state = only_rucio(rucio_bench, f'[rucio_dataset."{fresh_scope}:d"]\nopen = true\n')
    code = (
        "import sys\nfrom reconciler.cli import main\n"
        f"try: main(['diff', {str(state)!r}])\nexcept SystemExit as end: assert end.code == 2\n"
        "assert not any(name == 'lsst' or name.startswith('lsst.') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | rucio_bench.environment, stdout=subprocess.DEVNULL)
