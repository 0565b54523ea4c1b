"""What the Python class of an instrument knows of it, if the package with that class is installed.

Importing that package takes seconds, more than most checks, so the answer is kept in a cache: for a day, and until a file of the
package changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import time
from pathlib import Path

from platformdirs import user_cache_path

from reconciler.private_files import open_private_file, read_own_file

KEPT_FOR = 86_400
"""Seconds; a class may inherit from one of another package, whose changes are noticed after this time."""
PACKAGE_DEPTH = 3
"""A package such as ``lsst.obs.lsst``: only the packages around it are imported to find its files."""


def find_curated_types(class_name: str, *, cached: bool = True) -> frozenset[str]:
    """Return the dataset types of an instrument's curated calibrations; empty if its class can't be imported or doesn't know.

    Parameters
    ----------
    class_name : `str`
        Fully qualified name of the class.
    cached : `bool`
        Whether an answer from the cache is enough.
    """
    with contextlib.suppress(Exception):  # importing a package of the Science Pipelines raises nearly anything
        path = _find_entry(class_name)
        known = _read_entry(path) if cached else None
        if known is not None:
            return known
        module, _, name = class_name.rpartition(".")
        found = frozenset(str(kind) for kind in getattr(importlib.import_module(module), name)().getCuratedCalibrationNames())
        _write_entry(path, found)
        return found
    return frozenset()


def _find_entry(class_name: str) -> Path:
    """Return the path of the cache entry of a class, which depends on the files of its package."""
    package = ".".join(class_name.split(".")[:-1][:PACKAGE_DEPTH])
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ImportError(f"no package {package}")
    places = [Path(place) for place in spec.submodule_search_locations or ()] or [Path(spec.origin or "")]
    files = sorted(file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place]))
    versions = [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    name = hashlib.sha256(json.dumps([class_name, versions]).encode()).hexdigest()
    return user_cache_path("rubin-reconciler") / "curated-types" / f"{name[:40]}.json"


def _read_entry(path: Path) -> frozenset[str] | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        if 0 <= time.time() - path.stat().st_mtime < KEPT_FOR:
            return frozenset(map(str, json.loads(read_own_file(path))))
    return None


def _write_entry(path: Path, names: frozenset[str]) -> None:
    """Write an entry; one that can't be written only costs time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open_private_file(path) as stream:
            json.dump(sorted(names), stream)
