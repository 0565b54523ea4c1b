"""The regular expression that finds the data ID of a raw in the path of its file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.engine.model import JsonObject
from reconciler.errors import StateError
from reconciler.kinds.shared.delivered_files import NO_NIGHT

if TYPE_CHECKING:
    from reconciler.systems.context import Context

EXPOSURE_GROUPS = ("exposure", "obs_id")
DETECTOR_GROUPS = ("detector", "full_name")


@dataclass(frozen=True)
class DataIdPattern:
    """A regular expression that finds the exposure and the detector in a path, each by its number or by its name."""

    pattern: re.Pattern[str]
    by_obs_id: bool
    by_full_name: bool

    @classmethod
    def compile(cls, text: str) -> DataIdPattern:
        pattern = re.compile(text)
        return cls(pattern, "obs_id" in pattern.groupindex, "full_name" in pattern.groupindex)

    def parse(self, path: str) -> JsonObject | None:
        """Return exposure, detector and night, as far as they are in a path; None if it doesn't match."""
        match = self.pattern.search(path)
        if match is None:
            return None
        exposure = self._value(match, "obs_id") if self.by_obs_id else self._number(match, "exposure")
        detector = self._value(match, "full_name") if self.by_full_name else self._number(match, "detector")
        return self.to_member(exposure, detector)

    def _value(self, match: re.Match[str], group: str) -> str:
        if match[group] is None:
            raise StateError(f"data_id: group {group} matches nothing in {match.string}")
        return str(match[group])

    def _number(self, match: re.Match[str], group: str) -> int:
        text = self._value(match, group)
        if not text.isdecimal():
            raise StateError(f'data_id: group {group} matches "{text}" in {match.string}, which isn\'t a number')
        return int(text)

    def convert(
        self, context: Context, instrument: str, numbers: Iterable[tuple[Any, ...]], where: str = ""
    ) -> dict[tuple[Any, ...], tuple[Any, Any]]:
        """Map instrument, exposure and detector to what the pattern finds of them: numbers or names.

        ``where`` selects the exposures to read, instead of all of the instrument.
        """
        exposures = context.butler.records("exposure", where, instrument=instrument) if self.by_obs_id else ()
        detectors = context.butler.records("detector", instrument=instrument) if self.by_full_name else ()
        obs_ids = {record.id: record.obs_id for record in exposures}
        full_names = {record.id: record.full_name for record in detectors}
        return {
            (its, exposure, detector): (obs_ids.get(exposure, exposure), full_names.get(detector, detector))
            if its == instrument
            else (f"{its} {exposure}", detector)
            for its, exposure, detector in numbers
        }

    def to_member(self, exposure: Any, detector: Any) -> JsonObject:
        """Return exposure, detector and night of a raw."""
        member = {"exposure": exposure, "detector": detector}
        if night := find_night(str(exposure)):
            member["day_obs"] = night
        return member


def find_night(text: str) -> int:
    """Return the night in the name or number of an exposure, or in a path; `NO_NIGHT` if there is none."""
    found = re.search(r"(?<!\d)(20\d{6})(?!\d)", text) or re.match(r"(20\d{6})\d{5}$", text)
    return int(found[1]) if found else NO_NIGHT
