"""Which files are raws of a table, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import MissingFile, StateError
from reconciler.files import location_list
from reconciler.kinds.raw.files import RawNames
from reconciler.kinds.raw.spec import RawSpec
from reconciler.systems.rucio.facts import FileFacts


def spec(**keys: Any) -> RawSpec:
    return RawSpec(instrument="X", **{"locations": ("/raws",), **keys})


@pytest.mark.parametrize(
    ("pattern", "path", "excluded"),
    [
        ("*_guider.fits", "/raws/20250501/MC_O_1_guider.fits", True),
        ("*_guider.fits", "/raws/a_guider.fits/MC_O_1.fits", False),
        ("MC_O_1.fits", "MC_O_1.fits", True),
        ("O_1.fits", "/raws/MC_O_1.fits", False),
        ("domeflats/*", "/raws/domeflats/MC_O_1.fits", True),
        ("domeflats/*", "/raws/domeflats/20250501/MC_O_1.fits", True),
        ("domeflats/*", "/raws/nodomeflats/MC_O_1.fits", False),
        ("2025050[12]/*", "davs://host/raws/20250502/MC_O_1.fits", True),
        ("2025050[12]/*", "davs://host/raws/20250503/MC_O_1.fits", False),
    ],
)
def test_a_pattern_matches_a_name_or_the_end_of_a_path(pattern: str, path: str, excluded: bool) -> None:
    names = RawNames.compile(spec(exclude=("nothing", pattern)))
    assert names.excludes(path) is excluded
    files = [FileFacts("raw", path, 1)]
    assert names.select(files) == ([] if excluded else files)


def test_nothing_is_excluded_without_patterns() -> None:
    names = RawNames.compile(spec())
    files = [FileFacts("raw", name, 1) for name in ("a.fits", "a.json")]
    assert names.select(files) == files[:1]
    assert not names.excludes("a.fits")


def test_the_keys_of_a_table_are_options_in_a_fixed_order() -> None:
    assert spec().ingest_options == ()
    keys = {"config": {"a": 1}, "config_file": "/c.py", "ingest_task": "x.Y", "processes": 3, "update_records": True}
    expected = "--config a=1 --config-file /c.py --ingest-task x.Y --processes 3 --update-records --no-track-file-attrs"
    assert " ".join(spec(**keys, track_file_attrs=False).ingest_options) == expected


def test_a_list_of_locations_has_uris_and_paths_relative_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "nights.txt"
    path.write_text("# nights\n20250501\n\n/data/x/\ndavs://host/y\n20250501\n")
    assert location_list.read(str(path)) == [f"{tmp_path}/20250501", "/data/x", "davs://host/y"]
    assert spec(locations_file=str(path)).list_locations() == ("/raws", f"{tmp_path}/20250501", "/data/x", "davs://host/y")


def test_an_absent_or_an_empty_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        location_list.read(str(tmp_path / "none.txt"))
    (tmp_path / "empty.txt").write_text("# none yet\n")
    with pytest.raises(StateError, match="lists no locations"):
        location_list.read(str(tmp_path / "empty.txt"))
