"""The class of an instrument is imported once, and again when its package changes, after a day, or on demand."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.systems.butler.instruments import KEPT_FOR, CuratedFacts, find_curated_facts, name_by_convention

CLASS = "cameras.mine.MyCam"
CODE = """\
import cameras
from lsst.pipe.base import Instrument
cameras.imports.append(1)
class MyCam(Instrument):
    def getName(self): return "MyCam"
    def getRawFormatter(self, dataId): pass
    def register(self, registry, *, update=False): pass
    def makeCuratedCalibrationRunName(self, calibDate, *labels): return "/".join(("MyCam/calib", *labels, "dated", calibDate))
    def getCuratedCalibrationNames(self):
        return {{"camera", "{kind}"}}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with the class of an instrument, which counts how often it is imported."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    folder = tmp_path / "code" / "cameras" / "mine"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("imports = []\n")
    (folder / "__init__.py").write_text(CODE.format(kind="defects"))
    yield folder
    forget("cameras.mine", "cameras")


def find_curated_types(class_name: str, *, cached: bool = True) -> frozenset[str]:
    facts = find_curated_facts(class_name, cached=cached)
    return frozenset() if facts is None else facts.types


def forget(*modules: str) -> None:
    """Let modules be imported again, as another process would."""
    for module in modules:
        sys.modules.pop(module, None)


def count_imports() -> int:
    return len(sys.modules["cameras"].imports)


@pytest.mark.usefixtures("package")
def test_the_class_is_imported_once() -> None:
    for _ in range(3):
        assert find_curated_types(CLASS) == {"camera", "defects"}
        forget("cameras.mine")
    assert count_imports() == 1


def test_a_changed_package_is_imported_again(package: Path) -> None:
    find_curated_types(CLASS)
    forget("cameras.mine")
    (package / "__init__.py").write_text(CODE.format(kind="crosstalk"))
    assert find_curated_types(CLASS) == {"camera", "crosstalk"}


@pytest.mark.usefixtures("package")
def test_an_answer_is_kept_for_a_day(tmp_path: Path) -> None:
    find_curated_types(CLASS)
    forget("cameras.mine")
    (entry,) = (tmp_path / "cache").rglob("*.json")
    os.utime(entry, (time.time() - KEPT_FOR,) * 2)
    find_curated_types(CLASS)
    assert count_imports() == 2


@pytest.mark.usefixtures("package")
def test_the_cache_is_not_used_on_demand() -> None:
    find_curated_types(CLASS)
    forget("cameras.mine")
    find_curated_types(CLASS, cached=False)
    assert count_imports() == 2


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("content", [b"", b"{", b"3"])
def test_a_corrupt_entry_is_ignored(tmp_path: Path, content: bytes) -> None:
    find_curated_types(CLASS)
    (entry,) = (tmp_path / "cache").rglob("*.json")
    assert entry.stat().st_mode & 0o777 == 0o600
    entry.write_bytes(content)
    forget("cameras.mine")
    assert find_curated_types(CLASS) == {"camera", "defects"}


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("name", ["", "MyCam", "cameras.mine.Other", "cameras.absent.MyCam", "absent.MyCam"])
def test_nothing_is_known_of_a_class_that_cannot_be_imported(tmp_path: Path, name: str) -> None:
    assert find_curated_types(name) == frozenset()
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_costs_only_time(package: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    assert find_curated_types(CLASS) == {"camera", "defects"}


@pytest.mark.usefixtures("package")
def test_names_are_those_of_the_class_with_and_without_a_label() -> None:
    types = frozenset({"camera", "defects"})
    plain = CuratedFacts(types, "MyCam/calib", "MyCam/calib/unbounded", "MyCam/calib/dated/")
    labelled = CuratedFacts(types, "MyCam/calib/X", "MyCam/calib/X/unbounded", "MyCam/calib/X/dated/")
    for _ in range(2):  # the second time from the cache
        assert find_curated_facts(CLASS) == plain
        assert find_curated_facts(CLASS, ["X"]) == labelled


def test_the_usual_names_are_those_of_the_base_class() -> None:
    from standin.comcam import LsstComCam

    camera = LsstComCam()
    usual = name_by_convention("LSSTComCam", ["X"])
    assert usual.collection == camera.makeCalibrationCollectionName("X")
    assert usual.unbounded == camera.makeUnboundedCalibrationRunName("X")
    assert camera.makeCuratedCalibrationRunName("19700101T000000Z", "X").startswith(usual.curated)
