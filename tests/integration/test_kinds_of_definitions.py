"""Repository, instrument, sky map, dataset types, collections and chains: made when missing, mended when they differ."""

import itertools

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
    empty_bench.mend(state)
    assert "name: mine" in (empty_bench.repo / "butler.yaml").read_text()


def test_a_yaml_without_tables_is_told_apart_and_completed(sqlite_bench: Bench) -> None:
    (sqlite_bench.repo / "gen3.sqlite3").unlink()
    state = sqlite_bench.state(RUNS)
    assert "butler.yaml exists, but the registry has no tables" in sqlite_bench.diff(state, 2)
    sqlite_bench.mend(state)


def test_tables_without_the_attributes_that_describe_them_are_made_anew(bench: Bench) -> None:
    """As a kill in the middle of a creation leaves them."""
    edit(bench, "delete from {}butler_attributes")
    state = bench.state(RUNS)
    assert "has no tables" in bench.diff(state, 2)
    bench.mend(state)


def test_so_they_are_if_only_some_attributes_were_written(sqlite_bench: Bench) -> None:
    """The Butler writes each in a transaction of its own."""
    template = (sqlite_bench.repo / "gen3.sqlite3").read_bytes()
    state = sqlite_bench.state(RUNS)
    for written in itertools.count():
        (sqlite_bench.repo / "gen3.sqlite3").write_bytes(template)
        edit(sqlite_bench, f"delete from butler_attributes where rowid > {written}")
        told = sqlite_bench.diff(state, 2)
        if "has no tables" not in told:
            break
        if written % 6 == 5:
            sqlite_bench.mend(state)
    assert written > 10
    assert "collection.a" in told


def test_a_registry_without_attributes_that_holds_something_is_left_alone(bench: Bench) -> None:
    bench.mend(bench.state(RUNS))
    edit(bench, "delete from {}butler_attributes where name like '%dimensions%' or name like '%datastores%'")
    assert "contains 3 rows" in bench.apply(bench.state(RUNS), 1)


def edit(bench: Bench, statement: str) -> None:
    import sqlalchemy
    from lsst.daf.butler import ButlerConfig

    from reconciler.systems.butler.connection import registry_of

    url, namespace = registry_of(ButlerConfig(str(bench.repo)))
    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).begin() as connection:
        connection.execute(sqlalchemy.text(statement.replace("{}", f"{namespace}." if namespace else "")))


def test_an_instrument_is_registered_with_its_detectors_and_filters(bench: Bench) -> None:
    state = bench.state(INSTRUMENT)
    assert "no such instrument" in bench.diff(state, 2)
    bench.mend(state)
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
    comcam.mend(state)


def test_an_instrument_of_another_class_is_a_difference_and_is_updated(comcam: Bench) -> None:
    registry = comcam.butler.registry
    record = next(iter(registry.queryDimensionRecords("instrument"))).toDict()
    registry.syncDimensionData("instrument", record | {"class_name": "some.other.Class"}, update=True)
    state = comcam.state(INSTRUMENT)
    assert "class   some.other.Class → lsst.obs.lsst.LsstComCam" in comcam.diff(state, 2)
    comcam.mend(state)


def test_a_sky_map_is_registered_by_the_stack_s_own_command(comcam: Bench) -> None:
    (comcam.folder / "map.config").write_text('config.name = "m1"\n')
    state = comcam.state('[skymap.m1]\nconfig = "map.config"\ntracts = 3\n[chain.all]\nchildren = ["skymaps"]\n')
    comcam.mend(state)
    assert comcam.butler.registry.queryDimensionRecords("tract", skymap="m1").count() == 3


def test_a_dataset_type_is_registered_and_another_definition_is_reported_and_left_alone(bench: Bench) -> None:
    text = '[dataset_type.cat]\nstorage_class = "{}"\ndimensions = ["htm7"]\n'
    bench.mend(bench.state(text.format("SimpleCatalog")))
    other = bench.state(text.format("ArrowAstropy"))
    told = bench.diff(other, 1)
    assert "storage_class   SimpleCatalog → ArrowAstropy" in told
    assert "can't be redefined" in told
    assert "error: test.toml:5: dataset_type.cat: its definition differs" in bench.apply(other, 1)
    assert bench.butler.get_dataset_type("cat").storageClass_name == "SimpleCatalog"


def test_dimensions_that_others_need_may_be_left_out(bench: Bench) -> None:
    bench.mend(bench.state('[dataset_type.x]\nstorage_class = "StructuredDataDict"\ndimensions = ["visit", "detector"]\n'))


def test_collections_are_made_and_documented(bench: Bench) -> None:
    bench.mend(bench.state('[collection.t]\ntype = "TAGGED"\ndoc = "one"\n[collection.k]\ntype = "CALIBRATION"\n'))
    assert "doc   one → two" in bench.mend(bench.state('[collection.t]\ntype = "TAGGED"\ndoc = "two"\n'))
    assert bench.butler.collections.get_info("t").doc == "two"


def test_a_collection_of_another_type_is_reported_and_left_alone(bench: Bench) -> None:
    bench.mend(bench.state('[collection.a]\ntype = "RUN"\n'))
    state = bench.state('[collection.a]\ntype = "TAGGED"\n')
    assert "the name is taken by a RUN collection" in bench.diff(state, 1)
    bench.apply(state, 1)
    assert bench.butler.collections.get_info("a").type.name == "RUN"


def test_a_chain_says_what_is_missing_and_what_is_moved(bench: Bench) -> None:
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a", "b", "c"]\n')
    bench.mend(state)
    bench.butler.collections.redefine_chain("top", ["c", "a"])
    told = bench.diff(state, 2)
    assert "+ b at 2 (of 3)" in told
    assert "↕ c from 1 to 3" in told
    bench.mend(state)
    assert children(bench, "top") == ("a", "b", "c")


def test_an_unwanted_child_of_a_chain_is_reported_and_removed_only_with_prune(bench: Bench) -> None:
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a", "b"]\n')
    bench.mend(state)
    bench.butler.collections.redefine_chain("top", ["b", "c", "a"])
    told = bench.diff(state, 2)
    assert "kept without --prune" in told
    assert "1 children" in told
    bench.apply(state, 2)
    assert children(bench, "top") == ("a", "b", "c")
    bench.apply(state, 0, "--prune", "--prune-limit", "1")
    assert children(bench, "top") == ("a", "b")


def test_a_chain_that_contains_lets_others_stand_behind_but_not_in_front(bench: Bench) -> None:
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a", "b"]\nmode = "contains"\n')
    bench.mend(state)
    bench.butler.collections.redefine_chain("top", ["a", "b", "c"])
    assert "in sync" in bench.diff(state, 0)
    bench.butler.collections.redefine_chain("top", ["c", "a", "b"])
    bench.diff(state, 2)
    bench.mend(state)
    assert children(bench, "top") == ("a", "b", "c")


def test_a_flattened_chain_holds_the_children_of_its_chains(bench: Bench) -> None:
    text = RUNS + '[chain.inner]\nchildren = ["a", "b"]\n[chain.top]\nchildren = ["inner", "c"]\nflatten = true\n'
    bench.mend(bench.state(text))
    assert children(bench, "top") == ("a", "b", "c")


def test_a_name_that_another_collection_has_stops_an_apply_before_anything_is_done(bench: Bench) -> None:
    bench.butler.collections.register("top")
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a"]\n[chain.over]\nchildren = ["b"]\n')
    told = bench.apply(state, 1)
    assert "chain.top: the name is taken by a RUN collection" in told
    assert "nothing was changed" in told
    assert list(bench.butler.collections.query("*")) == ["top"]
    bench.apply(state, 0, "--except", "chain.top")
    assert children(bench, "over") == ("b",)


def test_a_child_that_nobody_makes_is_an_error_that_names_the_table(bench: Bench) -> None:
    state = bench.state(RUNS + '[chain.top]\nchildren = ["a", "nowhere"]\n')
    told = bench.diff(state, 1)
    assert 'test.toml:11: chain.top: needs collection "nowhere", which no table provides and which doesn' in told
    bench.apply(state, 1)
    assert not bench.butler.collections.query("*")


@pytest.mark.parametrize(("manage", "code", "made"), [("observe", 2, False), ("create", 0, True)])
def test_manage_says_how_far_to_go(bench: Bench, manage: str, code: int, made: bool) -> None:
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


def test_only_chosen_resources_are_looked_at(bench: Bench) -> None:
    state = bench.state(RUNS)
    bench.apply(state, 0, "--only", "collection.a")
    assert list(bench.butler.collections.query("*")) == ["a"]
    assert "no address matches" in bench.diff(state, 1, "--only", "chian.*")
