"""The regular expression that finds the data ID of a raw in the path of its file."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
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

    def find_keys(self, paths: Iterable[str]) -> set[tuple[Any, ...]]:
        """Return exposure and detector of each path; fewer than there are paths if some don't match, or are of the same raw."""
        groups = self.pattern.groupindex
        exposure = groups["obs_id" if self.by_obs_id else "exposure"]
        detector = groups["full_name" if self.by_full_name else "detector"]
        matches = map(self.pattern.search, paths)
        keys: set[tuple[Any, ...]] = {key for match in matches if match and None not in (key := match.group(exposure, detector))}
        if not self.by_obs_id:
            keys = {(int(exposure), detector) for exposure, detector in keys if exposure.isdecimal()}
        if not self.by_full_name:
            keys = {(exposure, int(detector)) for exposure, detector in keys if detector.isdecimal()}
        return keys

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
        obs_ids, full_names = self.read_names(context, instrument, where)
        return {
            (its, exposure, detector): (obs_ids.get(exposure, exposure), full_names.get(detector, detector))
            if its == instrument
            else (f"{its} {exposure}", detector)
            for its, exposure, detector in numbers
        }

    def read_names(self, context: Context, instrument: str, where: str = "") -> tuple[Mapping[int, str], Mapping[int, str]]:
        """Return the names of exposures and of detectors by their numbers, each only if the pattern finds names."""
        read = functools.partial(context.butler.record_values, instrument=instrument)
        obs_ids = read("exposure", "obs_id", where) if self.by_obs_id else {}
        return obs_ids, read("detector", "full_name") if self.by_full_name else {}

    def read_all_names(self, context: Context, instrument: str) -> tuple[Mapping[int, Any], Mapping[int, Any]]:
        """Return what the pattern finds of each exposure and each detector of an instrument, by their numbers."""
        obs_ids, full_names = self.read_names(context, instrument)
        exposures = obs_ids if self.by_obs_id else {number: number for number in context.butler.nights(instrument)}
        if self.by_full_name:
            return exposures, full_names
        return exposures, {record.id: record.id for record in context.butler.records("detector", instrument=instrument)}

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
