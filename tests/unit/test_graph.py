"""Order comes from what tables need and provide, and from nothing else."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from fakes import FakeKind, FakeSpec, address, make_state
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.graph import Graph, build_graph, describe_token, system_token
from reconciler.engine.model import DesiredState
from reconciler.errors import ObserveError, PlanError, StateError


def order(state: DesiredState) -> list[str]:
    return [str(its) for its in build_graph(state).order]


def build(tables: Mapping[str, FakeSpec], *kinds: FakeKind) -> Graph:
    return build_graph(make_state(tables, *kinds))


@given(st.permutations(range(8)), st.data())
def test_every_resource_comes_after_what_it_needs(numbers: list[int], data: st.DataObject) -> None:
    edges = {n: data.draw(st.sets(st.sampled_from(range(n)), max_size=3)) if n else set() for n in numbers}
    ways = {n: data.draw(st.sampled_from(["needs", "after", "requires"])) for n in numbers}
    tables = {}
    for n in numbers:
        prefix = "box.b" if ways[n] == "requires" else "t:"
        earlier = tuple(f"{prefix}{other}" for other in sorted(edges[n]))
        tables[f"box.b{n}"] = FakeSpec(provides=(f"t:{n}",), **{ways[n]: earlier})
    found = order(make_state(tables))
    assert sorted(found) == sorted(tables)
    for n, earlier_numbers in edges.items():
        for other in earlier_numbers:
            assert found.index(f"box.b{other}") < found.index(f"box.b{n}")


def test_independent_resources_keep_the_order_of_the_file() -> None:
    assert order(make_state({"box.c": FakeSpec(), "box.a": FakeSpec(), "box.b": FakeSpec()})) == ["box.c", "box.a", "box.b"]


def test_kinds_with_a_lower_order_come_first() -> None:
    kinds = FakeKind("late", order=90), FakeKind("early", order=10)
    assert order(make_state({"late.a": FakeSpec(), "early.b": FakeSpec()}, *kinds)) == ["early.b", "late.a"]


def test_a_resource_comes_as_early_as_its_kind_allows_once_it_is_ready() -> None:
    kinds = FakeKind("late", order=90), FakeKind("early", order=10)
    tables = {
        "late.x": FakeSpec(),
        "early.b": FakeSpec(needs=("t:a",)),
        "late.a": FakeSpec(provides=("t:a",)),
        "late.y": FakeSpec(),
    }
    assert order(make_state(tables, *kinds)) == ["late.x", "late.a", "early.b", "late.y"]


def test_a_need_records_the_token_that_made_it() -> None:
    graph = build({"box.a": FakeSpec(needs=("t:b", "u:b")), "box.b": FakeSpec(provides=("t:b", "u:b"))})
    assert graph.needs == {address("box.a"): {address("box.b"): "t:b"}, address("box.b"): {}}


def test_requires_orders_what_tokens_can_not_know() -> None:
    graph = build({"box.a": FakeSpec(requires=("box.b",)), "box.b": FakeSpec()})
    assert graph.order == (address("box.b"), address("box.a"))
    assert graph.needs[address("box.a")] == {address("box.b"): "box.b"}


def test_a_token_counts_more_than_requires() -> None:
    graph = build({"box.a": FakeSpec(requires=("box.b",), needs=("t:b",)), "box.b": FakeSpec(provides=("t:b",))})
    assert graph.needs[address("box.a")] == {address("box.b"): "t:b"}


def test_requires_names_addresses_as_they_are_written() -> None:
    graph = build({"box.x": FakeSpec(requires=('box."a/b"',)), "box.a/b": FakeSpec()})
    assert graph.order == (address("box.a/b"), address("box.x"))


def test_after_orders_without_being_a_need() -> None:
    graph = build({"box.a": FakeSpec(after=("t:b", "t:nobody")), "box.b": FakeSpec(contributes=("t:b",))})
    assert graph.order == (address("box.b"), address("box.a"))
    assert graph.needs[address("box.a")] == {}
    assert graph.after[address("box.a")] == {address("box.b")}
    assert graph.unprovided == {}


def test_after_leaves_out_what_is_needed_anyway_and_the_resource_itself() -> None:
    graph = build({"box.a": FakeSpec(provides=("t:a",), needs=("t:b",), after=("t:*",)), "box.b": FakeSpec(provides=("t:b",))})
    assert graph.after[address("box.a")] == frozenset()


def test_a_glob_needs_all_that_provide_a_match() -> None:
    tables = {
        "box.a": FakeSpec(needs=("t:x/*",)),
        "box.b": FakeSpec(provides=("t:x/1",)),
        "box.c": FakeSpec(contributes=("t:x/2",)),
        "box.d": FakeSpec(provides=("t:y",)),
    }
    graph = build(tables)
    assert graph.needs[address("box.a")] == {address("box.b"): "t:x/*", address("box.c"): "t:x/*"}
    assert graph.unprovided == {}


def test_a_name_with_a_bracket_is_not_a_pattern() -> None:
    tables = {
        "box.a": FakeSpec(needs=("t:x[1]", "t:x[2]")),
        "box.b": FakeSpec(provides=("t:x1", "t:x2")),
        "box.c": FakeSpec(provides=("t:x[1]",)),
    }
    graph = build(tables)
    assert graph.needs[address("box.a")] == {address("box.c"): "t:x[1]"}
    assert graph.unprovided[address("box.a")] == ("t:x[2]",)


def test_a_glob_that_matches_nothing_is_not_provided() -> None:
    assert build({"box.a": FakeSpec(needs=("t:x/*",))}).unprovided == {address("box.a"): ("t:x/*",)}


def test_tokens_that_no_table_provides_are_kept_for_a_live_check() -> None:
    graph = build({"box.a": FakeSpec(needs=("t:live", "t:b", "t:other")), "box.b": FakeSpec(provides=("t:b",))})
    assert graph.unprovided == {address("box.a"): ("t:live", "t:other")}


def test_a_token_that_a_resource_provides_itself_is_not_missing() -> None:
    graph = build({"box.a": FakeSpec(provides=("t:a",), needs=("t:a",))})
    assert graph.unprovided == {}
    assert graph.needs[address("box.a")] == {}


def test_several_tables_may_contribute_one_token() -> None:
    tables = {
        "box.z": FakeSpec(needs=("t:a",)),
        "box.a": FakeSpec(provides=("t:a",)),
        "box.b": FakeSpec(contributes=("t:a",)),
        "box.c": FakeSpec(contributes=("t:a",)),
    }
    graph = build(tables)
    assert set(graph.needs[address("box.z")]) == {address(text) for text in ("box.a", "box.b", "box.c")}
    assert graph.owners == {"t:a": address("box.a")}


def test_two_tables_that_provide_the_same_thing_are_named() -> None:
    tables = {
        "box.a": FakeSpec(provides=("t_x:one",)),
        "box.b": FakeSpec(provides=("t_x:one", "t:two")),
        "box.c": FakeSpec(provides=("t_x:one", "t:two")),
    }
    with pytest.raises(PlanError) as caught:
        build(tables)
    assert str(caught.value).splitlines() == [
        'fake.toml:20: box.b: t x "one" is also provided by box.a (fake.toml:10)',
        'fake.toml:30: box.c: t x "one" is also provided by box.a (fake.toml:10)',
        'fake.toml:30: box.c: t "two" is also provided by box.b (fake.toml:20)',
    ]


def test_a_cycle_is_an_error_that_names_its_tables_in_the_order_of_their_needs() -> None:
    tables = {
        "box.a": FakeSpec(provides=("t:a",), needs=("t:b",)),
        "box.b": FakeSpec(provides=("t:b",), needs=("t:c",)),
        "box.c": FakeSpec(provides=("t:c",), needs=("t:a",)),
        "box.d": FakeSpec(),
    }
    with pytest.raises(PlanError, match="these tables need each other in a circle: ") as caught:
        build(tables)
    circle = str(caught.value).partition("circle: ")[2].split(" needs ")
    places = {"a": "box.a (fake.toml:10)", "b": "box.b (fake.toml:20)", "c": "box.c (fake.toml:30)"}
    first = circle[0][4]
    walk = {"a": "b", "b": "c", "c": "a"}
    assert circle == [places[first], places[walk[first]], places[walk[walk[first]]], places[first]]


def test_a_table_that_requires_itself_is_a_cycle() -> None:
    with pytest.raises(PlanError, match=r"box\.a \(fake\.toml:10\) needs box\.a \(fake\.toml:10\)"):
        build({"box.a": FakeSpec(requires=("box.a",))})


def test_the_resource_that_opens_a_system_comes_before_all_that_use_the_system() -> None:
    kinds = FakeKind("box", order=1), FakeKind("gate", order=99, opens="butler")
    tables = {"box.a": FakeSpec(), "box.r": FakeSpec(systems=("rucio",)), "gate.": FakeSpec(), "box.z": FakeSpec(systems=())}
    graph = build(tables, *kinds)
    assert graph.needs[address("box.a")] == {address("gate"): "system:butler"}
    assert graph.needs[address("box.r")] == {}
    assert graph.needs[address("box.z")] == {}
    assert graph.needs[address("gate")] == {}
    assert graph.order == tuple(map(address, ("box.r", "box.z", "gate", "box.a")))


def test_a_system_that_no_table_opens_is_not_reported_as_missing() -> None:
    assert build({"box.a": FakeSpec(systems=("butler", "rucio"))}).unprovided == {}


def test_a_resource_that_opens_one_system_may_need_another() -> None:
    kinds = FakeKind("gate", opens="butler"), FakeKind("server", opens="rucio", order=99)
    tables = {"gate.": FakeSpec(systems=("butler", "rucio")), "server.": FakeSpec(systems=("rucio",))}
    graph = build(tables, *kinds)
    assert graph.needs[address("gate")] == {address("server"): "system:rucio"}


def test_wrong_links_of_all_tables_are_reported_at_once() -> None:
    kind = FakeKind()
    kind.link_errors = {"a": StateError("bad list"), "c": ObserveError("can't be read")}
    with pytest.raises(StateError) as caught:
        build({"box.a": FakeSpec(), "box.b": FakeSpec(), "box.c": FakeSpec()}, kind)
    assert caught.value.problems == ["fake.toml:10: box.a: bad list", "fake.toml:30: box.c: can't be read"]


def test_input_files_that_do_not_exist_are_reported_with_the_rest(tmp_path: Path) -> None:
    kind = FakeKind()
    kind.link_errors = {"a": StateError("bad list")}
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.touch()
    files = (str(there), str(gone), str(tmp_path), "s3://bucket/gone")
    with pytest.raises(StateError) as caught:
        build({"box.a": FakeSpec(), "box.b": FakeSpec(input_files=files)}, kind)
    assert caught.value.problems == [
        "fake.toml:10: box.a: bad list",
        f"fake.toml:20: box.b: {tmp_path}: is a folder, not a file",
        f"fake.toml:20: box.b: {gone}: no such file",
    ]


def test_predecessors_are_needs_and_what_comes_first() -> None:
    tables = {
        "box.a": FakeSpec(needs=("t:b",), after=("t:c",)),
        "box.b": FakeSpec(provides=("t:b",), requires=("box.d",)),
        "box.c": FakeSpec(provides=("t:c",)),
        "box.d": FakeSpec(),
        "box.e": FakeSpec(requires=("box.d", "box.b")),
    }
    graph = build(tables)
    assert graph.predecessors(address("box.a")) == {address("box.b"), address("box.c")}
    assert graph.predecessors(address("box.unknown")) == set()
    assert graph.with_predecessors([address("box.a")]) == {address(f"box.{name}") for name in "abcd"}
    assert graph.with_predecessors([address("box.c"), address("box.e")]) == {address(f"box.{name}") for name in "bcde"}


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("collection:HSC/raw/all", 'collection "HSC/raw/all"'),
        ("dataset_type:raw", 'dataset type "raw"'),
        ("did:raw:x", 'Rucio DID "raw:x"'),
    ],
)
def test_tokens_are_described_in_words(token: str, words: str) -> None:
    assert describe_token(token) == words


def test_a_system_has_a_token() -> None:
    assert system_token("rucio") == "system:rucio"
