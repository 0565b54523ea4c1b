"""The datasets of zips that the repository has of some nights, by exposure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.kinds.shared.nights import Nights
from reconciler.systems.butler.queries import between_nights, on_nights

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context


@dataclass(frozen=True)
class IngestedNights:
    """What the repository has of some nights.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    instrument : `str`
        Its short name.
    where : `str`
        Expression that selects the nights.
    """

    context: Context
    instrument: str
    where: str

    @classmethod
    def select(cls, context: Context, instrument: str, nights: Collection[int] | Nights) -> IngestedNights:
        """Select nights, of which there may be none."""
        if isinstance(nights, Nights):
            where = between_nights(instrument, nights.first, nights.last)
        else:
            where = on_nights(instrument, sorted(nights) or [0])
        return cls(context, instrument, where)

    def list_datasets(self, dataset_type: str, run: str) -> dict[str, DatasetRef]:
        """Return the datasets of a type in a RUN collection by UUID."""
        found = self.context.butler.members_where(dataset_type, [run], self.where)
        return {str(ref.id): ref for ref in found}

    def list_all(self, types: Iterable[tuple[str, str]]) -> set[str]:
        """Return the UUIDs of the datasets of some types, each given with a RUN collection."""
        return {id for dataset_type, run in sorted(types) for id in self.list_datasets(dataset_type, run)}

    def count_exposures(self, dataset_type: str, run: str) -> int:
        """Return how many exposures have datasets of a type in a RUN collection."""
        return len(self.context.butler.data_ids(dataset_type, [run], ["exposure"], self.where))

    def group_by_exposure(self, datasets: Mapping[str, DatasetRef]) -> dict[str, set[str]]:
        """Return the UUIDs of datasets by the name of their exposure."""
        names = self.name_exposures()
        found: dict[str, set[str]] = defaultdict(set)
        for id, ref in datasets.items():
            found[names[int(ref.dataId["exposure"])]].add(id)
        return found

    def name_exposures(self) -> Mapping[int, str]:
        """Return the names of the exposures that the repository knows by number."""
        return self.context.butler.record_values("exposure", "obs_id", self.where, instrument=self.instrument)

    def find_nights(self) -> Mapping[str, int]:
        """Return the nights of these exposures by name."""
        nights = self.context.butler.record_values("exposure", "day_obs", self.where, instrument=self.instrument)
        return {name: nights[number] for number, name in self.name_exposures().items()}
