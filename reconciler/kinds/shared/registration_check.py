"""Compare a Rucio dataset with the Butler datasets that are registered in it.

A closed dataset can still lose files, an administrator can reopen it, and its source can gain datasets. Nothing can be added to
it, so what it lacks is reported and never changed. What an open one lacks is registered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reconciler.engine.model import Condition, DifferenceKind
from reconciler.kinds.shared.delivery import match_name_suffix


def compare_registration(paths: Collection[str], names: Collection[str]) -> tuple[Condition, ...]:
    """Describe how the files of a source and those of a closed Rucio dataset differ.

    Parameters
    ----------
    paths : collection of `str`
        URIs of the files of the source; each ends with the name of the file in Rucio.
    names : collection of `str`
        Names of the files in the Rucio dataset.
    """
    unregistered = find_unregistered(paths, names)
    return (*_describe_unregistered(unregistered, len(paths)), *describe_added(paths, names))


def find_unregistered(paths: Collection[str], names: Collection[str]) -> list[str]:
    """Return the URIs of the files of a source that are not in a Rucio dataset with files of these names."""
    known = set(names)
    return sorted(path for path in paths if match_name_suffix(path, known) is None)


def describe_added(paths: Collection[str], names: Collection[str]) -> Iterable[Condition]:
    """Describe the files of a Rucio dataset that are not in its source."""
    known = set(names)
    added = sorted(known - {match_name_suffix(path, known) for path in paths})
    if added:
        text = f"{len(added):,} of its {len(known):,} files are not in the source; reconcile never removes them"
        yield Condition(DifferenceKind.DEGRADED, text, tuple({"file": name} for name in added), "files")


def _describe_unregistered(paths: list[str], total: int) -> Iterable[Condition]:
    if paths:
        text = (
            f"{len(paths):,} of {total:,} files of the source are not in it, and it is closed; apply registers them after an "
            "administrator of the Rucio server has reopened it"
        )
        yield Condition(DifferenceKind.BLOCKED, text, tuple({"file": path} for path in paths), "files")
