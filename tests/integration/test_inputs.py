"""Whatever is in an input file: it is read, or there is one clear error; never a traceback, never a hang."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import StateError
from reconciler.files import export_cache, export_file, export_yaml, table, visit_list
from reconciler.files.prefetch import reading_ahead
from reconciler.session import start

HEAD = "description: Butler Data Repository Export\nversion: 1.0.2\nuniverse_version: 7\nuniverse_namespace: daf_butler\ndata:\n"
ID = "a83d850a-0094-417c-ac9c-64d0f7b98048"
PARTS = [
    "- type: collection\n  collection_type: RUN\n  name: r\n  host: null\n",
    "- type: dataset_type\n  name: x\n  dimensions: [htm7]\n  storage_class: SimpleCatalog\n",
    f"- type: dataset\n  dataset_type: x\n  run: r\n  records:\n  - dataset_id: [!uuid '{ID}']\n"
    "    data_id: [{htm7: 1}]\n    path: a\n",
    f"- type: associations\n  collection: c\n  collection_type: TAGGED\n  dataset_ids: [!uuid '{ID}']\n",
    "- type: dataset\n  records: 7\n",
    "- type: dimension\n  element: [1]\n  records: {}\n",
    "- !!python/object/apply:os.system ['true']\n",
    "- &a [*a]\n",
    "- &a {b: *a}\n",
    "- !!str [1]\n- !!map x\n- !!seq y\n",
    "- !uuid [1]\n",
    "- !!int {}\n- {[1]: 2, 3: 4, <<: {type: run}, name: !!int '0x1f'}\n",
    "- 3\n",
]


def write(factory: pytest.TempPathFactory, name: str, content: bytes) -> str:
    path: Path = factory.mktemp("fuzz") / name
    path.write_bytes(content)
    return str(path)


@given(st.lists(st.sampled_from(PARTS), max_size=6))
def test_parts_of_an_export_file_in_any_order(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    with contextlib.suppress(StateError):
        export_file.read(write(tmp_path_factory, "e.yaml", (HEAD + "".join(parts)).encode()))


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: (HEAD + text).encode("utf-8", "surrogatepass")))
def test_any_bytes_as_an_export_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with contextlib.suppress(StateError):
        export_file.read(write(tmp_path_factory, "e.yaml", content))


@given(st.binary(max_size=200) | st.text("abc,1\n\"' ", max_size=200).map(str.encode), st.sampled_from(["csv", "ecsv", "fits"]))
def test_any_bytes_as_a_table(tmp_path_factory: pytest.TempPathFactory, content: bytes, form: str) -> None:
    with contextlib.suppress(StateError):
        table.read(write(tmp_path_factory, f"t.{form}", content))


@given(st.binary(max_size=100) | st.text("0123456789#\n ,x", max_size=100).map(str.encode))
def test_any_bytes_as_a_list(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with contextlib.suppress(StateError):
        assert all(isinstance(number, int) for number in visit_list.read(write(tmp_path_factory, "l.txt", content)))


def test_no_tag_makes_an_object_of_its_choice(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    file = tmp_path / "e.yaml"
    file.write_text(HEAD + f"- !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{flag}']]\n")
    with pytest.raises(StateError, match="not an export file"):
        export_file.read(str(file))
    assert not flag.exists()


def test_export_files_are_read_as_pyyaml_would(tmp_path: Path) -> None:
    """Ours is quicker at what such files are made of, and must not differ."""
    import yaml

    text = (
        "a: &x {b: 1, c: -7, d: 0x1f, e: 010, f: 1_000, g: 1.5, h: true, i: null, j: ~, k: 2024-11-08}\n"
        "l: *x\nm: [*x, 'two', \"3\", 1e3, '']\nn: {<<: *x, b: 2}\n4: {5: six}\no: |\n  text\n"
    )
    file = tmp_path / "e.yaml"
    file.write_text(text)
    assert export_yaml.load(str(file)) == yaml.safe_load(text)


def test_aliases_of_aliases_take_no_more_than_their_text(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    file.write_text("\n".join(lines))
    assert len(export_yaml.load(str(file))["a39"]) == 9


def test_a_large_export_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export_cache, "WORTH_KEEPING", 100)
    text = (
        "a: [&x !lsst.daf.butler.Timespan {begin: !butler_time/tai/iso '2024-11-08', end: null}, *x]\n"
        "b: !<lsst.sphgeom.ConvexPolygon> {encoded: 70ff}\n"
        "c: [1, -2.5, true, null, 'text', !uuid 'a83d850a0094417cac9c64d0f7b98048']\n"
    )
    file = tmp_path / "e.yaml"
    file.write_text(text)
    first = export_yaml.load(str(file))
    (kept,) = (tmp_path / "cache" / "rubin-reconciler" / "exports").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(export_yaml, "_parse", None)
    again = export_yaml.load(str(file))
    assert again == first
    assert [type(again["a"][1]), type(again["a"][1].begin), type(again["b"])] == [
        export_yaml.Span,
        export_yaml.Tai,
        export_yaml.Encoded,
    ]
    monkeypatch.undo()


def test_large_export_files_are_read_by_others_while_the_butler_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    large, records = "", "".join(f"- type: collection\n  collection_type: RUN\n  name: r{n}\n  host: null\n" for n in range(4000))
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(HEAD + records)
        large += f'[import.{name}]\nexport_file = "{name}.yaml"\nroot = "."\n'
    (tmp_path / "s.toml").write_text(f'[reconcile]\nversion = 1\n[repository]\nuri = "repo"\n{large}')
    monkeypatch.setattr(export_yaml, "_parse", None)
    started = start(tmp_path / "s.toml", {})
    assert {id.name for id in started.state.resources if id.kind == "import"} == {"a", "b"}


def test_what_others_could_not_read_is_read_here_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (broken := tmp_path / "e.yaml").write_text("a: [" + "x, " * export_cache.WORTH_KEEPING)
    with reading_ahead([str(broken), str(tmp_path / "none.yaml")]):
        pass
    with pytest.raises(StateError, match=r"e\.yaml:\d+: not an export file"):
        export_yaml.load(str(broken))


def test_where_no_process_can_be_started_files_are_read_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (large := tmp_path / "e.yaml").write_text("a: [" + "x, " * export_cache.WORTH_KEEPING + "]")
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    with reading_ahead([str(large)]):
        pass
    assert len(export_yaml.load(str(large))["a"]) == export_cache.WORTH_KEEPING


@pytest.mark.parametrize("damage", ["", "{", '{"a": [', "[" * 5000])
def test_what_is_kept_and_damaged_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export_cache, "WORTH_KEEPING", 0)
    file = tmp_path / "e.yaml"
    file.write_text("a: [1, 2]\n")
    assert export_yaml.load(str(file)) == {"a": [1, 2]}
    (kept,) = (tmp_path / "cache" / "rubin-reconciler" / "exports").iterdir()
    kept.write_text(damage)
    assert export_yaml.load(str(file)) == {"a": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        "{1: 2}",
        "{'!Tai': 2}",
        "a: 2024-11-08",
        "a: .nan",
        "a0: &a0 [x, x]\na1: &a1 [*a0, *a0, *a0]\na2: &a2 [*a1, *a1, *a1, *a1]\na3: [*a2, *a2]",
    ],
)
def test_what_json_would_not_give_back_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export_cache, "WORTH_KEEPING", 0)
    file = tmp_path / "e.yaml"
    file.write_text(text)
    export_yaml.load(str(file))
    assert not list(tmp_path.glob("cache/rubin-reconciler/exports/*"))
