"""Exposures and visits of an instrument, read field by field: a row of a few values takes half the time of a whole record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from reconciler.systems.butler.connection import ButlerConnection
    from reconciler.systems.butler.definitions import DefinitionReader

GROUPS = ("group", "group_name")
"""What the group of an exposure is called, in the newer and in the older dimension universes."""
FIELDS = ("day_obs", "seq_num", "seq_start", "seq_end", *GROUPS)


class Exposure(NamedTuple):
    """What decides to which visits an exposure belongs; None stands for what its universe doesn't have.

    Parameters
    ----------
    id : `int`
        The number of the exposure.
    day_obs : `int`
        The night, as YYYYMMDD.
    seq_num : `int` or `None`
        Its number in the night.
    seq_start, seq_end : `int` or `None`
        Numbers of the first and the last exposure of its sequence.
    group : `str` or `None`
        The group to which it belongs.
    """

    id: int
    day_obs: int
    seq_num: int | None = None
    seq_start: int | None = None
    seq_end: int | None = None
    group: str | None = None


class ObservationReader:
    """Reads the exposures and visits of one repository; there are none while it is absent or half-made.

    All methods raise `reconciler.errors.ObserveError` if the repository can't be queried, or its universe has no exposures or
    visits.
    """

    def __init__(self, connection: ButlerConnection, definitions: DefinitionReader) -> None:
        self.connection = connection
        self.definitions = definitions

    def exposures(self, instrument: str, where: str = "") -> Sequence[Exposure]:
        """Return the exposures of an instrument that match a query expression, in no particular order."""

        def read() -> Sequence[Exposure]:
            if not self.connection.ready:
                return []
            known = self.definitions.find_fields("exposure")
            dimensions = set(self.definitions.universe().dimensions.names)
            fields = {field for field in FIELDS if field in known and field not in dimensions}
            with self.connection.open().query() as query:
                chosen = query.where(instrument=instrument)
                if where:
                    chosen = chosen.where(where)
                rows = chosen.general(["exposure"], dimension_fields={"exposure": fields}, find_first=False)
                return [_to_exposure(row) for row in rows]

        return self.connection.cached(("exposures", instrument, where), read)

    def nights(self, instrument: str, where: str = "") -> Mapping[int, int]:
        """Return the night of each exposure of an instrument that matches a query expression: in a third of the time."""

        def read() -> Mapping[int, int]:
            if not self.connection.ready:
                return {}
            if "day_obs" not in self.definitions.universe().dimensions.names:
                return {exposure.id: exposure.day_obs for exposure in self.exposures(instrument, where)}
            self.definitions.find_fields("exposure")
            with self.connection.open().query() as query:
                chosen = query.where(instrument=instrument)
                data_ids = (chosen.where(where) if where else chosen).data_ids(["exposure", "day_obs"])
                return {int(data_id["exposure"]): int(data_id["day_obs"]) for data_id in data_ids}

        return self.connection.cached(("nights", instrument, where), read)

    def visit_definitions(self, instrument: str) -> Sequence[tuple[int, int]]:
        """Return visit and exposure of each record of visit_definition."""
        return self._read_pairs("visit_definition", "visit", "exposure", instrument)

    def visit_memberships(self, instrument: str) -> Sequence[tuple[int, int]]:
        """Return visit and visit system of each record of visit_system_membership."""
        return self._read_pairs("visit_system_membership", "visit", "visit_system", instrument)

    def _read_pairs(self, element: str, first: str, second: str, instrument: str) -> Sequence[tuple[int, int]]:
        """Return the data IDs of two dimensions that an element joins, which are the keys of its records."""

        def read() -> Sequence[tuple[int, int]]:
            if not self.connection.ready:
                return []
            self.definitions.find_fields(element)
            with self.connection.open().query() as query:
                data_ids = query.where(instrument=instrument).data_ids([first, second])
                return [(int(data_id[first]), int(data_id[second])) for data_id in data_ids]

        return self.connection.cached((element, instrument), read)


def _to_exposure(row: Any) -> Exposure:
    values = {field: row.get(field, row.get(f"exposure.{field}")) for field in FIELDS}
    group = next((values[name] for name in GROUPS if values[name]), None)
    return Exposure(row["exposure"], values["day_obs"], values["seq_num"], values["seq_start"], values["seq_end"], group)
