"""Order comes from what tables need and provide, and from nothing else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.graph import build
from reconciler.errors import PlanError
from reconciler.state.loader import load

HEAD = "[reconcile]\nversion = 1\n[repository]\nuri = 'r'\n"
RUN = "[collection.{}]\ntype = 'RUN'\nrequires = {}\n"


@given(st.permutations(range(8)), st.data())
def test_every_resource_comes_after_what_it_needs(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], data: st.DataObject
) -> None:
    text = HEAD
    edges = []
    for number in order:
        children = data.draw(st.sets(st.sampled_from(range(number)), max_size=3)) if number else set()
        edges += [(number, child) for child in children]
        text += f"[chain.c{number}]\nchildren = {[f'c{child}' for child in sorted(children)]}\n"
    path = tmp_path_factory.mktemp("graph") / "s.toml"
    path.write_text(text)
    names = [id.name for id in build(load(path)).order]
    assert names[0] == ""
    for parent, child in edges:
        assert names.index(f"c{child}") < names.index(f"c{parent}")


def test_where_nothing_else_decides_the_file_does(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + "".join(RUN.format(f"c{n}", []) for n in (3, 1, 2)))
    assert [id.name for id in build(load(path)).order] == ["", "c3", "c1", "c2"]


def test_requires_orders_what_tokens_can_not_know(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + RUN.format("a", ["collection.b"]) + RUN.format("b", []))
    assert [id.name for id in build(load(path)).order] == ["", "b", "a"]


def test_a_circle_of_requirements_names_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(HEAD + RUN.format("a", ["collection.b"]) + RUN.format("b", ["collection.a"]))
    with pytest.raises(PlanError) as caught:
        build(load(path))
    assert "collection.a (s.toml:5)" in str(caught.value)
    assert "collection.b (s.toml:8)" in str(caught.value)
