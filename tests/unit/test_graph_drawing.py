"""The drawing of a graph: readable at any size, and safe for the language that it is written in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import FakeKind, FakeSpec, address, make_state

from reconciler.cli import main
from reconciler.engine.graph import Graph, build_graph
from reconciler.report.entry_status import EntryStatus
from reconciler.report.graph_drawing import draw, format_dot, format_mermaid, format_text

ROOT = Path(__file__).parents[2]


def diamond() -> Graph:
    """d needs b, c and a; b and c need a."""
    tables = {
        "box.a": FakeSpec(provides=("cup:a",)),
        "box.b": FakeSpec(needs=("cup:a",), provides=("cup:b",)),
        "box.c": FakeSpec(needs=("cup:a",), provides=("cup:c",)),
        "box.d": FakeSpec(needs=("cup:a", "cup:b", "cup:c")),
    }
    return build_graph(make_state(tables))


def text_of(graph: Graph, **options: bool) -> list[str]:
    return [line.text for line in format_text(draw(graph, {}, **options))]


def test_edges_that_follow_from_others_are_left_out() -> None:
    assert text_of(diamond(), grouped=False) == [
        *("box.a", "box.b  ← box.a", "box.c  ← box.a", "box.d  ← box.b, box.c"),
        *("", "4 resources. ← means: comes after."),
    ]


def test_resources_that_need_the_same_and_are_needed_by_the_same_share_a_node() -> None:
    assert text_of(diamond())[:3] == [
        "box.a",
        "box.b and 1 more  ← box.a",
        "box.d             ← box.b and 1 more",
    ]


def test_resources_of_different_status_do_not_share_a_node() -> None:
    drawing = draw(diamond(), {address("box.b"): EntryStatus.MISSING, address("box.c"): EntryStatus.OK})
    assert [node.label for node in drawing.nodes] == ["box.a", "box.b (missing)", "box.c", "box.d"]
    assert [line.text for line in format_text(drawing)][-1] == "4 resources: 1 missing, 1 ok. ← means: comes after."


def test_two_thousand_resources_are_grouped_by_kind_and_status() -> None:
    shelf, box = FakeKind("shelf"), FakeKind()
    tables = {f"shelf.s{number}": FakeSpec(provides=(f"cup:{number}",)) for number in range(1000)}
    tables |= {f"box.b{number}": FakeSpec(needs=(f"cup:{number}",)) for number in range(1000)}
    graph = build_graph(make_state(tables, shelf, box))
    assert text_of(graph) == [
        *("shelf × 1,000", "box × 1,000    ← shelf × 1,000"),
        *("", "2,000 resources; grouped by kind and status. ← means: comes after."),
    ]
    assert len(text_of(graph, grouped=False)) == 2002


def test_the_shipped_state_is_drawn_in_at_most_forty_lines() -> None:
    result = CliRunner().invoke(main, ["graph", str(ROOT / "state" / "ccms1.toml")])
    assert result.exit_code == 0
    assert 15 < len(result.output.splitlines()) <= 40
    assert "61 resources" in result.output


HOSTILE = 'x"]; end\\ <b>\n%% --> y'


def test_names_are_quoted_for_mermaid_and_for_dot() -> None:
    graph = build_graph(make_state({f"box.{HOSTILE}": FakeSpec()}))
    drawing = draw(graph, {graph.order[0]: EntryStatus.DIFFERS})
    mermaid, dot = list(format_mermaid(drawing)), list(format_dot(drawing))
    assert len(mermaid) == 3
    assert '"' not in mermaid[1].removeprefix('  n0["').removesuffix('"]')
    assert "-->" not in mermaid[1]
    assert "]" not in mermaid[1].removesuffix('"]')
    label = dot[3].partition("label=")[2]
    assert label.startswith(r'"box.\"x\"]; end\\ <b>\\n%% --> y\" (differs)", fillcolor=')


def test_the_edges_of_mermaid_and_dot_lead_from_what_is_needed() -> None:
    drawing = draw(diamond(), {}, grouped=False)
    assert [line.strip() for line in format_mermaid(drawing) if "-->" in line] == [
        *("n0 --> n1", "n0 --> n2", "n1 --> n3", "n2 --> n3"),
    ]
    assert [line.strip() for line in format_dot(drawing) if "->" in line] == [
        *("n0 -> n1;", "n0 -> n2;", "n1 -> n3;", "n2 -> n3;"),
    ]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs, which has none yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


SMALL = str(ROOT / "tests" / "cases" / "small.toml")


def test_svg_without_graphviz_is_an_error_that_names_what_is_missing(programs: Path) -> None:
    result = CliRunner().invoke(main, ["graph", SMALL, "--format", "svg"])
    assert result.exit_code == 1
    assert result.output.startswith("error: --format svg needs the program dot, which is not installed here\n  install Graphviz")


@pytest.mark.parametrize(
    ("script", "code", "output"), [("cat", 0, "digraph state {\n"), ("echo no >&2; exit 3", 1, "failed: no")]
)
def test_svg_is_what_graphviz_prints(programs: Path, script: str, code: int, output: str) -> None:
    program = programs / "dot"
    program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    os.chmod(program, 0o700)
    result = CliRunner().invoke(main, ["graph", SMALL, "--format", "svg"])
    assert result.exit_code == code
    assert output in result.output


def test_a_graph_is_drawn_of_one_state() -> None:
    result = CliRunner().invoke(main, ["graph", SMALL, SMALL])
    assert result.exit_code == 1
    assert "a graph is drawn of one state file; name one" in result.output
