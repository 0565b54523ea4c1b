"""Datasets whose files a random sample found lost or wrong: the samples after it contain them, too, until they are found right.

Otherwise a lost file would be reported by one check and not by the next, whose sample has other files. They are kept in a file of
the user for each repository. One that can't be read is ignored, and one that can't be written is not an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reconciler.engine.journal import state_folder
from reconciler.engine.model import JsonObject
from reconciler.private_files import open_private_file, read_own_file

if TYPE_CHECKING:
    from reconciler.systems.context import Context

K = TypeVar("K")
MOST_SUSPECTS = 10_000
"""Suspects that are kept for one repository; where more is wrong, every sample finds some of it."""


@dataclass
class Suspects:
    """The suspects of one repository, by UUID, each with its data ID.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    known : `Mapping` [`str`, `JsonObject`]
        Those that were found so far.
    """

    path: Path
    known: Mapping[str, JsonObject]

    @classmethod
    def read(cls, context: Context) -> Suspects:
        """Read the suspects of the repository of a state."""
        name = hashlib.sha256(context.butler.identity.encode()).hexdigest()[:32]
        path = state_folder() / "suspects" / f"{name}.json"
        known: Mapping[str, JsonObject] = {}
        with contextlib.suppress(OSError, ValueError):
            document = json.loads(read_own_file(path))
            if isinstance(document, dict) and all(isinstance(data_id, dict) for data_id in document.values()):
                known = document
        return cls(path, known)

    def choose(self, candidates: Sequence[K], count: int, is_suspect: Callable[[K], bool]) -> list[K]:
        """Return ``count`` of some candidates at random, of which the suspects come first; all suspects, if they are more."""
        chosen = [candidate for candidate in candidates if is_suspect(candidate)]
        others = [candidate for candidate in candidates if not is_suspect(candidate)] if chosen else candidates
        return [*chosen, *random.sample(others, min(max(count - len(chosen), 0), len(others)))]

    def list_exposures(self) -> set[tuple[str, int]]:
        """Return instrument and number of the exposures of suspects that have one."""
        return {(its["instrument"], its["exposure"]) for its in self.known.values() if {"instrument", "exposure"} <= its.keys()}

    def record(self, checked: Iterable[str], wrong: Mapping[str, JsonObject]) -> None:
        """Add datasets that are wrong, each with its data ID, and drop those that were checked (by UUID) and are right."""
        right = {*checked} - wrong.keys()
        found = {dataset_id: its for dataset_id, its in {**self.known, **wrong}.items() if dataset_id not in right}
        found = dict(list(found.items())[-MOST_SUSPECTS:])
        if found == self.known:
            return
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open_private_file(self.path) as stream:
                json.dump(found, stream)
        self.known = found
