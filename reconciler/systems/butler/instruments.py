"""What the Python class of an instrument knows of it, if the package with that class is installed.

Importing that package takes seconds, more than most checks, so the answer is kept in a cache: for a day, and until a file of the
package changes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import importlib.util
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from reconciler.private_files import open_private_file, read_own_file

ANY_DATE = "19700101T000000Z"
KEPT_FOR = 86_400
"""Seconds; a class may inherit from one of another package, whose changes are noticed after this time."""
PACKAGE_DEPTH = 3
"""A package such as ``lsst.obs.lsst``: only the packages around it are imported to find its files."""


@dataclass(frozen=True)
class CuratedFacts:
    """The curated calibrations of an instrument, as its class defines them.

    Parameters
    ----------
    types : `frozenset` [`str`]
        Dataset types for which its package has data.
    collection : `str`
        Default name of the CALIBRATION collection.
    unbounded : `str`
        RUN collection of what is valid at all times, such as the camera.
    curated : `str`
        Beginning of the names of the other RUN collections, which end with a date.
    """

    types: frozenset[str]
    collection: str
    unbounded: str
    curated: str


def name_by_convention(instrument: str, labels: Sequence[str], types: Collection[str] = ()) -> CuratedFacts:
    """Return the names that `lsst.pipe.base.Instrument` gives collections, for an instrument whose class can't be imported."""
    base = "/".join((instrument, "calib", *labels))
    return CuratedFacts(frozenset(types), base, f"{base}/unbounded", f"{base}/curated/")


def find_curated_facts(class_name: str, labels: Sequence[str] = (), *, cached: bool = True) -> CuratedFacts | None:
    """Return the curated calibrations that an instrument's class defines; None if it can't be imported or defines none.

    Parameters
    ----------
    class_name : `str`
        Fully qualified name of the class.
    labels : `Sequence` [`str`]
        Labels in the names of collections.
    cached : `bool`
        Whether an answer from the cache is enough.
    """
    with contextlib.suppress(Exception):  # importing a package of the Science Pipelines raises nearly anything
        path = _find_entry(class_name, labels)
        known = _read_entry(path) if cached else None
        if known is not None:
            return known
        module, _, name = class_name.rpartition(".")
        instrument = getattr(importlib.import_module(module), name)()
        found = CuratedFacts(
            frozenset(map(str, instrument.getCuratedCalibrationNames())),
            instrument.makeCalibrationCollectionName(*labels),
            instrument.makeUnboundedCalibrationRunName(*labels),
            instrument.makeCuratedCalibrationRunName(ANY_DATE, *labels).rpartition("/")[0] + "/",
        )
        _write_entry(path, found)
        return found
    return None


def _find_entry(class_name: str, labels: Sequence[str]) -> Path:
    """Return the path of the cache entry of a class, which depends on the files of its package."""
    package = ".".join(class_name.split(".")[:-1][:PACKAGE_DEPTH])
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ImportError(f"no package {package}")
    places = [Path(place) for place in spec.submodule_search_locations or ()] or [Path(spec.origin or "")]
    files = sorted(file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place]))
    versions = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    name = hashlib.sha256(json.dumps([class_name, *labels, versions]).encode()).hexdigest()
    return user_cache_path("rubin-reconciler") / "curated-calibrations" / f"{name[:40]}.json"


def _read_entry(path: Path) -> CuratedFacts | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        if 0 <= time.time() - path.stat().st_mtime < KEPT_FOR:
            found = json.loads(read_own_file(path))
            return CuratedFacts(**{**found, "types": frozenset(map(str, found["types"]))})
    return None


def _write_entry(path: Path, facts: CuratedFacts) -> None:
    """Write an entry; one that can't be written only costs time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open_private_file(path) as stream:
            json.dump({**dataclasses.asdict(facts), "types": sorted(facts.types)}, stream)
