"""Visits: every on-sky exposure belongs to one.

Visits are defined night by night, because a visit may consist of several exposures of a night, and a subset of them would make a
different visit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.kind import Kind, KindTraits, Links, Requirements
from reconciler.engine.model import REPO, Action, Change, Command, Condition, DifferenceKind, JsonObject, Members, Observed, Spec
from reconciler.systems.butler import queries

if TYPE_CHECKING:
    from reconciler.systems.context import Context

NIGHTS_PER_COMMAND = 200
WILDCARDS = frozenset("*?")
"""What no name of a collection contains; a bracket may be part of one."""
FIELD = "exposures with a visit"


class VisitsSpec(Spec):
    """Visits of an instrument; the key is its name."""

    raws: str = Field(
        description="Collection with the raws of the instrument, searched for the camera geometry.",
        examples=["LSSTComCam/raw/all"],
    )


class DefineVisits(Action):
    """Define the visits of some nights, or of all if there are no visits yet."""

    verb: Literal["define"] = "define"
    raws: str
    nights: tuple[int, ...]


class VisitsKind(Kind[VisitsSpec, DefineVisits]):
    """The kind of ``visits`` tables."""

    name = "visits"
    spec = VisitsSpec
    traits = KindTraits(summary="Visits of instruments.", order=35, depends_on_content=True)

    def links(self, name: str, spec: VisitsSpec) -> Links:
        return Links(provides=[f"visits:{name}"], needs=[f"instrument:{name}", f"collection:{spec.raws}"])

    def requirements(self, spec: VisitsSpec) -> Requirements:
        return Requirements(butler_commands=["define-visits"])

    def validate(self, name: str, spec: VisitsSpec) -> Iterable[str]:
        if not WILDCARDS.isdisjoint(spec.raws):
            yield f'raws: "{spec.raws}" has wildcards, and define-visits needs the name of one collection'

    def observe(self, context: Context, desired: Mapping[str, VisitsSpec]) -> Mapping[str, Observed[VisitsSpec]]:
        return {name: _observe_visits(context, name, spec) for name, spec in desired.items()}

    def plan(self, change: Change[VisitsSpec]) -> Iterable[DefineVisits]:
        (members,) = change.observed.members
        if members.missing or not change.exists:
            nights = sorted({member["day_obs"] for member in members.missing}) if members.present else []
            count = len(members.missing)
            reason = f"{count:,} exposures without a visit" if count else "no visits"
            yield DefineVisits(address=change.address, raws=change.desired.raws, nights=tuple(nights), reason=reason)

    def apply(self, context: Context, action: DefineVisits) -> None:
        list(context.run_butler(list(_arguments(action, context.butler.uri))))

    def commands(self, action: DefineVisits) -> Iterable[Command]:
        yield from (Command("butler", *arguments) for arguments in _arguments(action, REPO))


def _observe_visits(context: Context, instrument: str, spec: VisitsSpec) -> Observed[VisitsSpec]:
    butler = context.butler
    conditions = tuple(_find_missing_regions(context, instrument))
    on_sky = queries.on_sky(records_sky=butler.has_field("exposure", "can_see_sky"))
    if context.policy.quick:
        count = butler.count_records("exposure", on_sky, instrument=instrument)
        # As many visits as exposures: none is in two visits while another is in none.
        counts = {butler.count_records(element, instrument=instrument) for element in ("visit_definition", "visit")}
        if context.policy.compares_by_count(count) and counts == {count}:
            return Observed(spec, (Members.counted(FIELD, count),), conditions)
    defined = {record.exposure for record in butler.records("visit_definition", instrument=instrument)}
    exposures: dict[Hashable, JsonObject] = {
        record.id: {"exposure": record.id, "day_obs": record.day_obs}
        for record in butler.records("exposure", on_sky, instrument=instrument)
    }
    # Nothing is missing where no exposure sees the sky; but where the instrument is still unknown, everything is to come.
    exists = defined or (not exposures and butler.count_records("instrument", instrument=instrument))
    return Observed(spec if exists else None, (Members.compare(FIELD, exposures, defined),), conditions)


def _find_missing_regions(context: Context, instrument: str) -> Iterable[Condition]:
    """Find visits without the regions of some detectors: counts are compared first, and records read only if they differ."""
    butler = context.butler
    visits = butler.count_records("visit", instrument=instrument)
    detectors = butler.count_records("detector", instrument=instrument)
    if butler.count_records("visit_detector_region", instrument=instrument) >= visits * detectors:
        return
    regions = Counter(record.visit for record in butler.records("visit_detector_region", instrument=instrument))
    short = [record for record in butler.records("visit", instrument=instrument) if regions[record.id] < detectors]
    text = f"{len(short):,} visits lack detector regions, which define-visits adds only with --update-records"
    members = tuple({"visit": record.id, "day_obs": record.day_obs} for record in short)
    command = Command("butler", "define-visits", REPO, instrument, "--update-records")
    yield Condition(DifferenceKind.DEGRADED, text, members, commands=(command,))


def _arguments(action: DefineVisits, repository: str) -> Iterable[list[str]]:
    """Return the arguments of one ``butler`` command for each batch of nights."""
    base = ["define-visits", repository, action.address.name, "--collections", action.raws]
    if not action.nights:
        yield base
    for start in range(0, len(action.nights), NIGHTS_PER_COMMAND):
        yield [*base, "--where", queries.on_nights(action.address.name, action.nights[start : start + NIGHTS_PER_COMMAND])]


KIND = VisitsKind()
