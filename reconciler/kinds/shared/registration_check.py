"""Compare a closed Rucio dataset with the Butler datasets that were registered in it.

A closed dataset can still lose files, an administrator can reopen it, and its source can gain datasets. Nothing can be added to
it, so what differs is reported and never changed.
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
    known = set(names)
    matches = {path: match_name_suffix(path, known) for path in paths}
    return (
        *_describe_unregistered(sorted(path for path, name in matches.items() if name is None), len(paths)),
        *_describe_added(sorted(known - set(matches.values())), len(known)),
    )


def _describe_unregistered(paths: list[str], total: int) -> Iterable[Condition]:
    if paths:
        text = (
            f"{len(paths):,} of {total:,} files of the source are not in it, and it is closed; apply registers them after an "
            "administrator of the Rucio server has reopened it"
        )
        yield Condition(DifferenceKind.BLOCKED, text, tuple({"file": path} for path in paths), "files")


def _describe_added(names: list[str], total: int) -> Iterable[Condition]:
    if names:
        text = f"{len(names):,} of its {total:,} files are not in the source; reconcile never removes them"
        yield Condition(DifferenceKind.DEGRADED, text, tuple({"file": name} for name in names), "files")
