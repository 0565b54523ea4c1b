"""Compare raws whose files have grown since a proof: only what came to the files is compared with what came to the Butler.

Each night brings files to a Rucio dataset, or a dataset of its own. The proof shows that the raws of then are still there, so
the other datasets aren't listed. Whatever isn't plain growth, such as a file that is gone, is left to a full comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from reconciler.engine.model import Comparison, JsonObject, Members
from reconciler.engine.proof import digest_members
from reconciler.systems.butler.queries import with_quoted_values

if TYPE_CHECKING:
    from reconciler.kinds.shared.proven_datasets import Growth
    from reconciler.systems.context import Context

_Key = tuple[Any, Any]
"""Exposure and detector, each by number or by name."""
LISTED = "files "
"""How the digest of a list of files begins; other digests don't show what their files were."""
MOST_EXPOSURES = 2_000
"""Exposures that a query names; a night has half as many."""


class KeyFinder(Protocol):
    """Finds the exposure and the detector of a raw, each by number or by name, as `reconciler.kinds.raw.data_id_pattern` does."""

    @property
    def by_obs_id(self) -> bool:
        """Whether the name of an exposure is found rather than its number."""

    def parse(self, path: str) -> JsonObject | None:
        """Return what a path contains, or None."""

    def convert(
        self, context: Context, instrument: str, numbers: Iterable[tuple[Any, ...]], where: str = ""
    ) -> Mapping[tuple[Any, ...], _Key]:
        """Map instrument, exposure and detector to what a path contains of them; ``where`` selects the exposures to read."""


@dataclass(frozen=True)
class FilePart:
    """A part of the files of a table, such as a Rucio dataset.

    Parameters
    ----------
    digest : `str`
        Changes if the files do; see `digest_files`.
    list_sizes : `Callable`
        Returns the size of each raw by name.
    """

    digest: str
    list_sizes: Callable[[], Mapping[str, int]]


def digest_files(sizes: Mapping[str, int]) -> str:
    """Return the digest of a list of files by name, with their sizes."""
    return LISTED + digest_members(f"{name} {size}" for name, size in sizes.items())


@dataclass(frozen=True)
class GrownRaws:
    """The raws of a table since a proof.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    run, instrument : `str`
        Their RUN collection and instrument.
    pattern : `KeyFinder`
        Finds keys in paths.
    locate : `Callable`
        Returns the path of a file, given its name.
    """

    context: Context
    run: str
    instrument: str
    pattern: KeyFinder
    locate: Callable[[str], str]

    def compare(self, growth: Growth, parts: Mapping[str, FilePart], total: int) -> Members | None:
        """Compare what came to the files since the proof with what came to the raws, of which there are now ``total``.

        Returns
        -------
        members : `Members` or `None`
            The raws that files came for and the Butler lacks are missing; everything else is proven. `None` if the growth of the
            files doesn't explain everything that has changed, so that all raws have to be listed.
        """
        files = self._list_changed(growth, parts)
        added = None if files is None else self._find_keys(growth)
        if files is None or added is None or not added <= files.keys():
            return None
        missing = self._find_missing(files, added, growth, parts)
        if missing is None:
            return None
        members = tuple(
            {**self._parse(file), "path": self.locate(file.name), "bytes": file.size}
            for file in sorted(missing, key=lambda f: f.name)
        )
        return Members("raws", total + len(members), total, members, compared=Comparison.PROOF, listed=growth.listed)

    def _list_changed(self, growth: Growth, parts: Mapping[str, FilePart]) -> dict[_Key, _File] | None:
        """Return the raws of the parts that are new or have changed by key; None if not all of these are growth."""
        if not growth.inputs.keys() <= parts.keys():
            return None
        found: dict[_Key, _File] = {}
        for part, content in parts.items():
            before = growth.inputs.get(part, LISTED)
            if before == content.digest:
                continue
            if not before.startswith(LISTED):
                return None
            for name, size in content.list_sizes().items():
                file = _File(part, name, size)
                data_id = self.pattern.parse(self.locate(name))
                if data_id is None or (key := (data_id["exposure"], data_id["detector"])) in found:
                    return None
                found[key] = file
        return found

    def _find_keys(self, growth: Growth) -> set[_Key] | None:
        """Return the keys of the raws that came to the Butler; None if there are too many."""
        ids = [(ref.dataId["instrument"], ref.dataId["exposure"], ref.dataId["detector"]) for ref in growth.added]
        return self._convert(ids)

    def _convert(self, ids: Collection[tuple[Any, ...]]) -> set[_Key] | None:
        exposures = {exposure for instrument, exposure, _ in ids if instrument == self.instrument}
        if len(exposures) > MOST_EXPOSURES:
            return None
        if not exposures:
            return {(f"{instrument} {exposure}", detector) for instrument, exposure, detector in ids}
        where = with_quoted_values(self.instrument, "exposure", exposures)
        return set(self.pattern.convert(self.context, self.instrument, ids, where).values())

    def _find_missing(
        self, files: Mapping[_Key, _File], added: set[_Key], growth: Growth, parts: Mapping[str, FilePart]
    ) -> list[_File] | None:
        """Return the files of raws that are not in the Butler; None if the other files are not those of the proof."""
        rest = {key: file for key, file in files.items() if key not in added}
        if _are_as_before(rest.values(), growth, parts):
            return []
        present = self._find_present({exposure for exposure, _ in rest})
        if present is None or not _are_as_before([file for key, file in rest.items() if key in present], growth, parts):
            return None
        return [file for key, file in rest.items() if key not in present]

    def _find_present(self, exposures: Collection[Any]) -> set[_Key] | None:
        """Return the keys of the raws of some exposures; None if they can't be named in a query."""
        if not exposures:
            return set()
        if len(exposures) > MOST_EXPOSURES or any("'" in str(exposure) for exposure in exposures):
            return None
        dimension = "exposure.obs_id" if self.pattern.by_obs_id else "exposure"
        where = with_quoted_values(self.instrument, dimension, exposures)
        ids = self.context.butler.data_ids("raw", [self.run], ["instrument", "exposure", "detector"], where)
        return self._convert(ids)

    def _parse(self, file: _File) -> JsonObject:
        found = self.pattern.parse(self.locate(file.name))
        assert found is not None, "it was parsed before"
        return found


@dataclass(frozen=True)
class _File:
    part: str
    name: str
    size: int


def _are_as_before(files: Iterable[_File], growth: Growth, parts: Mapping[str, FilePart]) -> bool:
    """Return True if these files of the parts that have changed are those that the parts had at the time of the proof."""
    by_part: dict[str, dict[str, int]] = {part: {} for part in parts if growth.inputs.get(part) != parts[part].digest}
    for file in files:
        by_part[file.part][file.name] = file.size
    return all(digest_files(sizes) == growth.inputs.get(part, NOTHING) for part, sizes in by_part.items())


NOTHING = digest_files({})
