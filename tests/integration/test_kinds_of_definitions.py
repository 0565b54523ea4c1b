"""Kinds that define a repository, on real repositories: missing definitions are created, and differing ones are updated."""

import itertools
import subprocess
import sys

import pytest
from conftest import Bench

INSTRUMENT = '[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\ndetectors = 9\nfilters = 15\n'
RUNS = "".join(f'[collection.{name}]\ntype = "RUN"\n' for name in "abc")


def children(bench: Bench, name: str) -> tuple[str, ...]:
    return tuple(bench.butler.collections.get_info(name).children)


def test_a_repository_is_created_with_its_seed(empty_bench: Bench) -> None:
    (empty_bench.folder / "seed.yaml").write_text("datastore:\n  name: mine\n")
    state = empty_bench.folder / "s.toml"
    state.write_text(f'[reconcile]\nversion = 1\n[repository]\nuri = "{empty_bench.repo}"\nseed_config = "seed.yaml"\n')
    assert "no such repository" in empty_bench.diff(state, 2)
    assert not empty_bench.repo.exists()
    empty_bench.apply_and_check(state)
    assert "name: mine" in (empty_bench.repo / "butler.yaml").read_text()


def test_a_repository_with_a_butler_yaml_but_no_registry_tables_is_completed(sqlite_bench: Bench) -> None:
    (sqlite_bench.repo / "gen3.sqlite3").unlink()
    state = sqlite_bench.state(RUNS)
    assert "butler.yaml exists, but the registry has no tables" in sqlite_bench.diff(state, 2)
    sqlite_bench.apply_and_check(state)


def test_registry_tables_without_their_attributes_are_created_again(bench: Bench) -> None:
    """A kill during the creation of a repository leaves it in this condition."""
    edit(bench, "delete from {}butler_attributes")
    state = bench.state(RUNS)
    assert "has no tables" in bench.diff(state, 2)
    bench.apply_and_check(state)


def test_registry_tables_with_only_some_of_their_attributes_are_created_again(sqlite_bench: Bench) -> None:
    """The Butler writes each attribute in a separate transaction."""
    template = (sqlite_bench.repo / "gen3.sqlite3").read_bytes()
    state = sqlite_bench.state(RUNS)
    for written in itertools.count():
        (sqlite_bench.repo / "gen3.sqlite3").write_bytes(template)
        edit(sqlite_bench, f"delete from butler_attributes where rowid > {written}")
        output = sqlite_bench.diff(state, 2)
        if "has no tables" not in output:
            break
        if written % 6 == 5:
            sqlite_bench.apply_and_check(state)
    assert written > 10
    assert "collection.a" in output


KILLED_WRITER = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("pragma cache_size = 1")
connection.execute("begin immediate")
connection.execute("create table unfinished (text text)")
connection.executemany("insert into unfinished values (?)", [("x" * 4000,)] * 100)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_creation_that_was_killed_while_sqlite_was_writing_is_completed(sqlite_bench: Bench) -> None:
    """Only a writer can roll back what the killed one left, and the rest is half-made and can't be opened."""
    edit(sqlite_bench, "delete from butler_attributes where rowid > 6")
    database = sqlite_bench.repo / "gen3.sqlite3"
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(database)])
    assert database.with_name("gen3.sqlite3-journal").stat().st_size
    state = sqlite_bench.state(RUNS)
    assert "an interrupted writer left a journal behind" in sqlite_bench.diff(state, 1)
    sqlite_bench.apply_and_check(state)


def test_a_registry_without_attributes_that_contains_rows_is_left_unchanged(bench: Bench) -> None:
    bench.apply_and_check(bench.state(RUNS))
    edit(bench, "delete from {}butler_attributes where name like '%dimensions%' or name like '%datastores%'")
    assert "contains 3 rows" in bench.apply(bench.state(RUNS), 1)


def edit(bench: Bench, statement: str) -> None:
    import sqlalchemy
    from lsst.daf.butler import ButlerConfig

    from reconciler.systems.butler.registry_database import registry_of

    url, namespace = registry_of(ButlerConfig(str(bench.repo)))
    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).begin() as connection:
        connection.execute(sqlalchemy.text(statement.replace("{}", f"{namespace}." if namespace else "")))


def test_an_instrument_is_registered_with_its_detectors_and_filters(bench: Bench) -> None:
    state = bench.state(INSTRUMENT)
    assert "no such instrument" in bench.diff(state, 2)
    bench.apply_and_check(state)
    registry = bench.butler.registry
    assert registry.queryDimensionRecords("detector", instrument="LSSTComCam").count() == 9
    assert registry.queryDimensionRecords("physical_filter", instrument="LSSTComCam").count() >= 15


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("delete from {}detector where id IN (3, 4)", "detectors   7 → 9"),
        ("delete from {}physical_filter where name = (select min(name) from {}physical_filter)", "filters   14 → 15"),
    ],
)
def test_records_of_an_instrument_that_were_lost_are_registered_again(comcam: Bench, statement: str, difference: str) -> None:
    n_filters = comcam.butler.registry.queryDimensionRecords("physical_filter", instrument="LSSTComCam").count()
    state = comcam.state(INSTRUMENT.replace("filters = 15", f"filters = {n_filters}"))
    comcam.diff(state, 0)
    edit(comcam, statement)
    assert difference.replace("14", f"{n_filters - 1}").replace("15", f"{n_filters}") in comcam.diff(state, 2)
    comcam.apply_and_check(state)


def test_an_instrument_of_another_class_is_a_difference_and_is_updated(comcam: Bench) -> None:
    registry = comcam.butler.registry
    record = next(iter(registry.queryDimensionRecords("instrument"))).toDict()
    registry.syncDimensionData("instrument", record | {"class_name": "some.other.Class"}, update=True)
    state = comcam.state(INSTRUMENT)
    assert "class   some.other.Class → lsst.obs.lsst.LsstComCam" in comcam.diff(state, 2)
    comcam.apply_and_check(state)


def test_a_sky_map_is_registered_with_the_butler_command(comcam: Bench) -> None:
    (comcam.folder / "map.config").write_text('config.name = "m1"\n')
    state = comcam.state('[skymap.m1]\nconfig = "map.config"\ntracts = 3\n[chain.all]\nchildren = ["skymaps"]\n')
    comcam.apply_and_check(state)
    assert comcam.butler.registry.queryDimensionRecords("tract", skymap="m1").count() == 3


def test_a_sky_map_of_which_only_records_exist_is_reported_with_what_to_do_because_registering_it_again_has_no_effect(
    comcam: Bench,
) -> None:
    (comcam.folder / "map.config").write_text('config.name = "m1"\n')
    state = comcam.state('[skymap.m1]\nconfig = "map.config"\ntracts = 3\n')
    comcam.apply(state)
    butler = comcam.butler
    butler.pruneDatasets(butler.query_datasets("skyMap", "skymaps"), disassociate=True, unstore=True, purge=True)
    for output in (comcam.diff(state, 2), comcam.apply(state, 2)):
        assert "its records exist, but its dataset in skymaps doesn't, and register-skymap doesn't write it again" in output
    assert "butler.put(config.skyMap.apply(), " in comcam.diff(state, 2)
    assert not comcam.butler.query_datasets("skyMap", "skymaps", explain=False)


def test_a_dataset_type_is_registered_and_a_different_definition_is_reported_and_not_changed(bench: Bench) -> None:
    text = '[dataset_type.cat]\nstorage_class = "{}"\ndimensions = ["htm7"]\n'
    bench.apply_and_check(bench.state(text.format("SimpleCatalog")))
    other = bench.state(text.format("ArrowAstropy"))
    output = bench.diff(other, 1)
    assert "storage_class   SimpleCatalog → ArrowAstropy" in output
    assert "can't be redefined" in output
    assert "Blocked: dataset_type.cat: its definition differs" in bench.apply(other, 1)
    assert bench.butler.get_dataset_type("cat").storageClass_name == "SimpleCatalog"


def test_required_dimensions_of_a_dataset_type_may_be_left_out(bench: Bench) -> None:
    bench.apply_and_check(
        bench.state('[dataset_type.x]\nstorage_class = "StructuredDataDict"\ndimensions = ["visit", "detector"]\n')
    )


def test_collections_are_registered_and_their_documentation_is_updated(bench: Bench) -> None:
    bench.apply_and_check(bench.state('[collection.t]\ntype = "TAGGED"\ndoc = "one"\n[collection.k]\ntype = "CALIBRATION"\n'))
    assert "doc   one → two" in bench.apply_and_check(bench.state('[collection.t]\ntype = "TAGGED"\ndoc = "two"\n'))
    assert bench.butler.collections.get_info("t").doc == "two"


def test_a_collection_of_another_type_is_reported_and_not_changed(bench: Bench) -> None:
    bench.apply_and_check(bench.state('[collection.a]\ntype = "RUN"\n'))
    state = bench.state('[collection.a]\ntype = "TAGGED"\n')
    assert "the name is taken by a RUN collection" in bench.diff(state, 1)
    bench.apply(state, 1)
    assert bench.butler.collections.get_info("a").type.name == "RUN"


def test_missing_and_moved_children_of_a_chain_are_reported_and_fixed(bench: Bench) -> None:
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a", "b", "c"]\n')
    bench.apply_and_check(state)
    bench.butler.collections.redefine_chain("top", ["c", "a"])
    output = bench.diff(state, 2)
    assert "+ b at 2 (of 3)" in output
    assert "↕ c from 1 to 3" in output
    bench.apply_and_check(state)
    assert children(bench, "top") == ("a", "b", "c")


def test_an_unwanted_child_of_a_chain_is_reported_and_removed_only_with_prune(bench: Bench) -> None:
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a", "b"]\n')
    bench.apply_and_check(state)
    bench.butler.collections.redefine_chain("top", ["b", "c", "a"])
    output = bench.diff(state, 2)
    assert "kept without --prune" in output
    assert "1 child" in output
    bench.apply(state, 2)
    assert children(bench, "top") == ("a", "c", "b")
    bench.apply(state, 0, "--prune", "--prune-limit", "1")
    assert children(bench, "top") == ("a", "b")


def test_a_chain_in_contains_mode_accepts_other_children_after_its_own_but_not_before_them(bench: Bench) -> None:
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a", "b"]\nmode = "contains"\n')
    bench.apply_and_check(state)
    bench.butler.collections.redefine_chain("top", ["a", "b", "c"])
    assert "in sync" in bench.diff(state, 0)
    bench.butler.collections.redefine_chain("top", ["c", "a", "b"])
    shown = bench.diff(state, 2)
    assert "~ children   ↕ c from 1 to 3: no table lists it, and it comes before listed children\n" in shown
    assert "- c" not in shown
    bench.apply_and_check(state)
    assert children(bench, "top") == ("a", "b", "c")


@pytest.mark.parametrize("mode", ["exact", "contains"])
@pytest.mark.parametrize("prune", [False, True])
@pytest.mark.parametrize("present", ["cab", "cba", "ac", "cb"])
def test_a_plan_shows_every_unlisted_child_of_a_chain_that_an_apply_moves_or_removes(
    sqlite_bench: Bench, mode: str, prune: bool, present: str
) -> None:
    bench = sqlite_bench
    head = RUNS + f'[chain.top]\nmode = "{mode}"\n'
    bench.apply_and_check(bench.state(head + f"children = {list(present)}\n".replace("'", '"')))
    state = bench.state(head + 'children = ["a", "b"]\n')
    words = ["--prune", "--prune-limit", "1"] if prune else []
    shown = bench.diff(state, 2, *words[:1])
    bench.run("apply", state, "--yes", *words)
    found = children(bench, "top")
    if mode == "contains":
        moved = present.index("c") < max(map(present.index, set(present) - {"c"}))
        assert found == ("a", "b", "c")
        assert ("↕ c from" in shown) is moved
        assert "To be removed" not in shown
    elif prune:
        assert found == ("a", "b")
        assert "To be removed" in shown
    else:
        assert [child for child in found if child != "c"] == ["a", "b"]
        listed = [child for child in found if child != "c" and child in present]
        assert sum(found.index(child) < found.index("c") for child in listed) == present.index("c")
        assert "↕ c" not in shown
        assert "kept without --prune" in shown


@pytest.mark.parametrize("protect", [False, True])
def test_an_unlisted_child_in_front_of_a_chain_in_exact_mode_stays_there(bench: Bench, protect: bool) -> None:
    bench.apply_and_check(bench.state(RUNS + '[chain.top]\nchildren = ["c", "a", "b"]\n'))
    state = bench.state(RUNS + f'[chain.top]\nchildren = ["a", "b"]\nprotect = {str(protect).lower()}\n')
    assert "0 actions" in bench.apply(state, 2, *(["--prune"] if protect else []))
    assert children(bench, "top") == ("c", "a", "b")


def test_a_flattened_chain_contains_the_children_of_its_child_chains(bench: Bench) -> None:
    text = RUNS + '[chain.inner]\nchildren = ["a", "b"]\n[chain.top]\nchildren = ["inner", "c"]\nflatten = true\n'
    bench.apply_and_check(bench.state(text))
    assert children(bench, "top") == ("a", "b", "c")


FLATTENED = RUNS + '[chain.inner]\nchildren = ["a"{}]\n[chain.top]\nchildren = ["inner", "c"]\nflatten = true\n'


def test_a_flattened_chain_is_compared_by_the_names_that_it_contains(bench: Bench) -> None:
    state = bench.state(FLATTENED.format(', "b"'))
    bench.apply_and_check(state)
    bench.butler.collections.redefine_chain("top", ["c", "a"])
    output = bench.diff(state, 2)
    assert "+ b at 2 (of 3)" in output
    assert "↕ c from 1 to 3" in output
    assert "inner at" not in output
    assert "- a" not in output
    bench.apply_and_check(state)
    assert children(bench, "top") == ("a", "b", "c")


def test_a_flattened_chain_follows_a_child_chain_that_the_same_apply_changes(bench: Bench) -> None:
    bench.apply_and_check(bench.state(FLATTENED.format("")))
    state = bench.state(FLATTENED.format(', "b"'))
    output = bench.diff(state, 2)
    assert output.count("+ b at 2") == 2
    bench.apply_and_check(state)
    assert children(bench, "top") == ("a", "b", "c")


def test_a_chain_whose_name_is_taken_blocks_only_what_needs_it(bench: Bench) -> None:
    bench.butler.collections.register("top")
    tables = '[chain.top]\nchildren = ["a"]\n[chain.over]\nchildren = ["top"]\n[chain.other]\nchildren = ["b"]\n'
    state = bench.state(RUNS + tables)
    output = bench.diff(state, 1)
    assert "needs chain.top, which is in conflict" in output
    assert "4 to change, 1 in conflict, 1 blocked" in output
    output = bench.apply(state, 1)
    assert "Blocked: chain.top: the name is taken by a RUN collection" in output
    assert "Blocked: chain.over: needs chain.top, which is in conflict" in output
    assert "changed 4" in output
    assert "exclude these with --except" in output
    assert sorted(bench.butler.collections.query("*")) == ["a", "b", "c", "other", "top"]
    assert children(bench, "other") == ("b",)


def test_a_child_that_no_table_provides_is_an_error_that_names_the_table(bench: Bench) -> None:
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a", "nowhere"]\n')
    output = bench.diff(state, 1)
    assert 'test.toml:11: chain.top: needs collection "nowhere", which no table provides and which doesn' in output
    bench.apply(state, 1)
    assert not bench.butler.collections.query("*")


@pytest.mark.parametrize(("manage", "code", "made"), [("observe", 2, False), ("create", 0, True)])
def test_manage_limits_what_an_apply_creates_and_changes(bench: Bench, manage: str, code: int, made: bool) -> None:
    state = bench.state(RUNS + f'[chain.top]\nchildren = ["a", "b"]\nmanage = "{manage}"\n')
    bench.apply(state, code)
    assert bool(bench.butler.collections.query("top*")) is made
    if made:
        bench.butler.collections.redefine_chain("top", ["b", "a"])
        bench.apply(state, 2)
        assert children(bench, "top") == ("b", "a")


def test_diff_writes_nothing(bench: Bench) -> None:
    state = bench.state(INSTRUMENT + RUNS)
    bench.diff(state, 2)
    assert not bench.butler.collections.query("*")
    assert not list(bench.butler.registry.queryDimensionRecords("instrument"))


def test_only_selected_resources_are_applied(bench: Bench) -> None:
    state = bench.state(RUNS)
    bench.apply(state, 0, "--only", "collection.a")
    assert list(bench.butler.collections.query("*")) == ["a"]
    assert 'no address matches colection.*; did you mean "collection.*"?' in bench.diff(state, 1, "--only", "colection.*")
