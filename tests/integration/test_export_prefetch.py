"""Large export files are parsed in other processes, at most once, and whatever fails there is done in this process."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import opening
from reconciler.errors import StateError
from reconciler.files import export_cache, export_file, export_prefetch, export_yaml
from reconciler.files.export_prefetch import prefetch_exports

HEAD = "description: Butler Data Repository Export\nversion: 1.0.2\nuniverse_version: 7\nuniverse_namespace: daf_butler\ndata:\n"
RUN = "- type: run\n  name: r{}\n  host: null\n  timespan_begin: null\n  timespan_end: null\n"
LARGE = HEAD + "".join(RUN.format(number) for number in range(3_000))


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    found: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def record(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        found.append(start(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", record)
    return found


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the files that this process parsed."""
    found: list[int] = []
    parse: Callable[[bytes], Any] = export_yaml._parse

    def record(content: bytes) -> Any:
        found.append(len(content))
        return parse(content)

    monkeypatch.setattr(export_yaml, "_parse", record)
    return found


def write(folder: Path, name: str, text: str = LARGE) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_other_processes_parse_large_files_and_a_second_run_starts_none(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], parsed: list[int]
) -> None:
    paths = [write(tmp_path, f"{number}.yaml", f"{LARGE}# {number}\n") for number in range(3)]
    for _ in range(2):
        with prefetch_exports([*paths, paths[0]]):
            pass
    assert [len(export_file.read(path).collections) for path in paths] == [3_000] * 3
    assert parsed == []
    assert [process.returncode for process in started] == [0, 0]


def test_a_run_parses_large_files_while_it_imports_the_butler_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]], parsed: list[int]
) -> None:
    connection = importlib.import_module("reconciler.systems.butler.connection")
    running: list[int] = []
    monkeypatch.setattr(connection, "import_butler", lambda: running.append(sum(p.returncode is None for p in started)))
    write(tmp_path, "e.yaml")
    state = write(
        tmp_path, "s.toml", '[reconcile]\nversion = 1\n[repository]\nuri = "r"\n[import.x]\nexport_file = "e.yaml"\nroot = "d"\n'
    )
    with opening.open_session(Path(state)) as session:
        session.context.prepare()
    assert (running, parsed) == ([1], [])


def test_no_process_is_started_for_small_or_missing_files_or_on_one_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    with prefetch_exports([write(tmp_path, "small.yaml", HEAD), str(tmp_path / "none.yaml")]):
        pass
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with prefetch_exports([write(tmp_path, "large.yaml")]):
        pass
    assert started == []


def test_an_error_in_another_process_is_reported_when_this_process_reads_the_file(tmp_path: Path) -> None:
    broken = write(tmp_path, "e.yaml", "a: [" + "x, " * export_cache.MIN_BYTES)
    with prefetch_exports([broken]):
        pass
    with pytest.raises(StateError, match=r"e\.yaml:\d+: not an export file"):
        export_file.read(broken)


def test_files_are_parsed_in_this_process_if_no_other_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed: list[int]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with prefetch_exports([path := write(tmp_path, "e.yaml")]):
        pass
    assert len(export_file.read(path).collections) == 3_000
    assert parsed == [len(LARGE)]


def test_the_other_processes_end_if_the_work_of_this_one_fails(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    with pytest.raises(KeyboardInterrupt), prefetch_exports([write(tmp_path, "e.yaml")]):
        raise KeyboardInterrupt
    assert [process.returncode is None for process in started] == [False]


def test_the_other_processes_import_neither_the_butler_nor_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-P", "-m", export_prefetch.__name__, write(tmp_path, "e.yaml", HEAD)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert {"yaml", "reconciler"} <= imported
    assert not imported & {"lsst", "rucio", "sqlalchemy", "pydantic", "click", "rich"}


def test_the_other_processes_search_for_no_garbage(tmp_path: Path) -> None:
    code = (
        "import gc, sys\n"
        "from reconciler.files import export_prefetch\n"
        "searches = []\n"
        "gc.callbacks.append(lambda phase, info: searches.append(phase))\n"
        "export_prefetch.main()\n"
        "print(len(searches))\n"
    )
    command = [sys.executable, "-c", code, write(tmp_path, "e.yaml")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "0\n"
