"""Any content of an input file is either read or reported as one error that names the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import StateError
from reconciler.files import export_cache, export_file, export_types, export_yaml, table, visit_list

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


def read_or_report(read: Callable[[str], Any], path: str) -> Any:
    """Return what a file holds, or `None` after checking that the error is one line that names the file."""
    failure = None
    try:
        return read(path)
    except StateError as error:
        failure = error
    assert str(failure).startswith(path)
    assert len(failure.problems) == 1
    return None


@given(st.lists(st.sampled_from(PARTS), max_size=6))
def test_entries_of_an_export_file_in_any_order_are_read_or_reported(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    content = read_or_report(export_file.read, write(tmp_path_factory, "e.yaml", (HEAD + "".join(parts)).encode()))
    run, dataset_type, dataset, association = PARTS[:4]
    valid = bool(parts) and set(parts) <= set(PARTS[:4]) and (dataset in parts or association not in parts)
    assert (content is not None) is valid
    if content is not None:
        assert set(content.collections) == ({"r"} if run in parts else set())
        assert set(content.dataset_types) == ({"x"} if dataset_type in parts else set())
        assert set(content.datasets) == ({ID} if dataset in parts else set())
        assert content.tags == (("c", ID),) * parts.count(association)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: (HEAD + text).encode("utf-8", "surrogatepass")))
def test_bytes_that_are_not_yaml_are_reported_at_the_line_where_the_yaml_parser_fails(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    import yaml

    path = write(tmp_path_factory, "e.yaml", content)
    mark, problem = None, ""
    try:
        yaml.compose(content, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, str(error.problem)
    except (yaml.YAMLError, ValueError) as error:
        problem = str(error)
    found = read_or_report(export_file.read, path)
    if problem:
        with pytest.raises(StateError) as caught:
            export_file.read(path)
        line = f":{mark.line + 1}" if mark else ""
        assert str(caught.value).startswith(f"{path}{line}: not an export file: {problem[:20] if mark else ''}")
    else:
        assert found is None or isinstance(found, export_file.ExportFile)


FIELDS = st.text("abcXYZ019/_.-", min_size=1, max_size=10)
DATASETS = st.builds(
    export_file.ExportedDataset,
    dataset_type=FIELDS,
    run=FIELDS,
    data_id=st.dictionaries(FIELDS, st.integers() | FIELDS, min_size=1, max_size=3),
    path=FIELDS,
    formatter=st.none() | FIELDS,
)


@given(st.dictionaries(st.uuids().map(str), DATASETS, max_size=4), st.dictionaries(FIELDS, st.lists(FIELDS), max_size=3))
def test_datasets_and_chains_written_as_an_export_file_are_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory,
    datasets: dict[str, export_file.ExportedDataset],
    chains: dict[str, list[str]],
) -> None:
    import yaml

    data: list[dict[str, Any]] = [
        {"type": "collection", "collection_type": "CHAINED", "name": name, "children": children}
        for name, children in chains.items()
    ]
    for key, dataset in datasets.items():
        record = {"dataset_id": [key], "data_id": [dataset.data_id], "path": dataset.path, "formatter": dataset.formatter}
        data.append({"type": "dataset", "dataset_type": dataset.dataset_type, "run": dataset.run, "records": [record]})
    document = {"version": "1.0.2", "universe_version": 7, "universe_namespace": "daf_butler", "data": data}
    content = export_file.read(write(tmp_path_factory, "e.yaml", yaml.safe_dump(document).encode()))
    assert content.datasets == datasets
    assert {name: list(collection.children) for name, collection in content.collections.items()} == chains


@given(st.binary(max_size=200) | st.text("abc,1\n\"' ", max_size=200).map(str.encode), st.sampled_from(["csv", "ecsv", "fits"]))
def test_any_bytes_as_a_table_give_rows_with_a_path_and_the_same_columns_or_an_error_that_names_the_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, form: str
) -> None:
    rows = read_or_report(table.read, write(tmp_path_factory, f"t.{form}", content)) or ()
    assert all(isinstance(row.path, str) for row in rows)
    assert all(set(row.data_id) == table.columns(rows) for row in rows)


@given(
    st.lists(st.tuples(st.text("abc/_.-", min_size=1), st.integers(0, 2**40)), min_size=1),
    st.sampled_from(["csv", "ecsv", "fits"]),
)
def test_rows_written_as_a_table_are_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], form: str
) -> None:
    from astropy.table import Table

    path = tmp_path_factory.mktemp("fuzz") / f"t.{form}"
    paths, pixels = zip(*rows, strict=True)
    Table({"file": paths, "htm7": pixels}).write(path, format={"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits"}[form])
    assert table.read(str(path)) == tuple(table.Row(file, {"htm7": pixel}) for file, pixel in rows)
    if form != "fits":
        assert table.summarize(str(path)) == (len(rows), {"htm7"})


@given(st.lists(st.sampled_from(["7", " 7,", "8 # a comment", "009", "# only a comment", "", "x", "7 8", "1.5", "-1"])))
def test_a_list_of_visits_is_read_in_order_without_duplicates_or_refused_at_its_first_bad_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = write(tmp_path_factory, "l.txt", "\n".join(lines).encode())
    bad = [number for number, line in enumerate(lines, 1) if line in ("x", "7 8", "1.5", "-1")]
    if bad:
        with pytest.raises(StateError) as caught:
            visit_list.read(path)
        assert str(caught.value) == f'{path}:{bad[0]}: "{lines[bad[0] - 1]}" is not the number of a visit or exposure'
    else:
        values = {"7": 7, " 7,": 7, "8 # a comment": 8, "009": 9}
        assert visit_list.read(path) == list(dict.fromkeys(values[line] for line in lines if line in values))


@given(st.binary(max_size=100) | st.text("0123456789#\n ,x", max_size=100).map(str.encode))
def test_the_numbers_that_any_bytes_give_as_a_list_of_visits_are_read_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    numbers = read_or_report(visit_list.read, write(tmp_path_factory, "l.txt", content))
    if numbers is not None:
        assert visit_list.read(write(tmp_path_factory, "l.txt", "\n".join(map(str, numbers)).encode())) == numbers


def test_an_unknown_tag_runs_no_code(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    file = tmp_path / "e.yaml"
    file.write_text(HEAD + f"- !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{flag}']]\n")
    with pytest.raises(StateError, match="not an export file"):
        export_file.read(str(file))
    assert not flag.exists()


def test_yaml_is_parsed_as_pyyaml_parses_it(tmp_path: Path) -> None:
    """The parser builds common nodes itself because that is faster; the result must be the same."""
    import yaml

    text = (
        "a: &x {b: 1, c: -7, d: 0x1f, e: 010, f: 1_000, g: 1.5, h: true, i: null, j: ~, k: 2024-11-08}\n"
        "l: *x\nm: [*x, 'two', \"3\", 1e3, '']\nn: {<<: *x, b: 2}\n4: {5: six}\no: |\n  text\n"
    )
    file = tmp_path / "e.yaml"
    file.write_text(text)
    assert export_yaml.load(str(file)) == yaml.safe_load(text)


def test_nested_aliases_take_no_more_memory_than_their_text(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    file.write_text("\n".join(lines))
    assert len(export_yaml.load(str(file))["a39"]) == 9


def test_a_large_export_file_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export_cache, "MIN_BYTES", 100)
    text = (
        "a: [&x !lsst.daf.butler.Timespan {begin: !butler_time/tai/iso '2024-11-08', end: null}, *x]\n"
        "b: !<lsst.sphgeom.ConvexPolygon> {encoded: 70ff}\n"
        "c: [1, -2.5, true, null, 'text', !uuid 'a83d850a0094417cac9c64d0f7b98048']\n"
    )
    file = tmp_path / "e.yaml"
    file.write_text(text)
    first = export_yaml.load(str(file))
    (entry,) = (tmp_path / "cache" / "rubin-reconciler" / "exports").iterdir()
    assert entry.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(export_yaml, "_parse", None)
    again = export_yaml.load(str(file))
    assert again == first
    assert [type(again["a"][1]), type(again["a"][1].begin), type(again["b"])] == [
        export_types.Span,
        export_types.Tai,
        export_types.Encoded,
    ]
    monkeypatch.undo()


def test_a_cache_entry_that_another_user_could_have_written_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export_cache, "MIN_BYTES", 0)
    export_cache.store(b"a: 1", {"a": 1}, is_json=True)
    assert export_cache.read_cached(b"a: 1") == {"a": 1}
    (entry,) = export_cache.cache_folder().iterdir()
    entry.chmod(0o666)
    assert export_cache.read_cached(b"a: 1") is None


@pytest.mark.parametrize("damage", ["", "{", '{"a": [', "[" * 5000])
def test_a_damaged_cache_entry_is_ignored_and_the_file_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export_cache, "MIN_BYTES", 0)
    file = tmp_path / "e.yaml"
    file.write_text("a: [1, 2]\n")
    assert export_yaml.load(str(file)) == {"a": [1, 2]}
    (entry,) = (tmp_path / "cache" / "rubin-reconciler" / "exports").iterdir()
    entry.write_text(damage)
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
def test_a_document_that_json_cannot_represent_is_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export_cache, "MIN_BYTES", 0)
    file = tmp_path / "e.yaml"
    file.write_text(text)
    export_yaml.load(str(file))
    assert not list(tmp_path.glob("cache/rubin-reconciler/exports/*"))


def test_the_least_recently_used_cache_entries_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(export_cache, "MIN_BYTES", 0)
    monkeypatch.setattr(export_cache, "MAX_ENTRIES", 2)
    for age, content in ((3, b"a: 1"), (2, b"b: 2"), (1, b"c: 3")):
        export_cache.store(content, {"age": age}, is_json=True)
        for path in export_cache.cache_folder().iterdir():
            os.utime(path, (path.stat().st_mtime - 100, path.stat().st_mtime - 100))
    assert [export_cache.read_cached(content) for content in (b"a: 1", b"b: 2", b"c: 3")] == [None, {"age": 2}, {"age": 1}]


def test_a_text_table_is_summarized_with_the_rows_and_columns_that_reading_it_gives(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("file,htm7,band\nx.fits,1,r\n\ny.fits,2,i\n")
    rows = table.read(str(file))
    assert table.summarize(str(file)) == (len(rows), frozenset(table.columns(rows))) == (2, frozenset({"htm7", "band"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", 'it has no "version" and "data"'),
        ("version: 2.0.0\ndata: []\n", "unsupported format version 2.0.0; 1.x is supported"),
        ("version: 1.0.2\ndata: 3\n", '"data" is not a list'),
        (HEAD + "- type: run\n", "a record is malformed (missing key 'name')"),
        (HEAD + PARTS[2].replace(f"!uuid '{ID}'", "7"), "it has dataset IDs that are not UUIDs"),
        (HEAD + PARTS[3], f"1 associated dataset is missing from the file, for example {ID}"),
        *(
            (
                f"{HEAD}- type: collection\n  collection_type: CHAINED\n  name: top\n  children: [{child}]\n",
                "a child of top is not the name of a collection",
            )
            for child in ("[]", "3", "{a: 1}", "[3, null]")
        ),
    ],
)
def test_each_defect_of_an_export_file_has_its_message(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(text)
    with pytest.raises(StateError) as caught:
        export_file.read(str(file))
    assert str(caught.value).startswith(f"{file}: not an export file: {message}")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("!<lsst.sphgeom.ConvexPolygon> {}", "a region without its encoded value"),
        ("!<lsst.sphgeom.ConvexPolygon> {encoded: [1]}", "a region without its encoded value"),
        ("!<lsst.sphgeom.ConvexPolygon> {encoded: xyz}", "a region without its encoded value"),
        ("!<lsst.sphgeom.ConvexPolygon> 7", "a region without its encoded value"),
    ],
)
def test_a_wrong_value_of_an_export_file_is_an_error_with_its_line(tmp_path: Path, value: str, problem: str) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(f"{HEAD}- type: dimension\n  element: tract\n  records:\n  - region: {value}\n")
    with pytest.raises(StateError) as caught:
        export_file.read(str(file))
    line = 1 + file.read_text().partition("region")[0].count("\n")
    assert str(caught.value) == f"{file}:{line}: not an export file: {problem}"


def test_datasets_associations_and_chains_of_an_export_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(
        HEAD + PARTS[2] + PARTS[3] + "- type: collection\n  collection_type: CHAINED\n  name: top\n  children: [a, [b, null]]\n"
        "- type: associations\n  collection: cal\n  collection_type: CALIBRATION\n  validity_ranges:\n"
        f"  - {{begin: null, end: !butler_time/tai/iso '2025-01-01', dataset_ids: [!uuid '{ID}']}}\n"
    )
    content = export_file.read(str(file))
    assert content.datasets == {ID: export_file.ExportedDataset("x", "r", {"htm7": 1}, "a", None)}
    assert content.tags == (("c", ID),)
    assert content.certifications == (("cal", export_types.Span(None, "2025-01-01"), ID),)
    assert content.collections == {"top": export_file.ExportedCollection("CHAINED", ("a", "b"))}
