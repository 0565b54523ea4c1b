"""Visits: every exposure that saw the sky belongs to one.

Visits are defined night by night, since a visit may hold several exposures of a night and a part of one would be another visit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from reconciler.engine.model import Action, Condition, Kind, Members, Missing, Seen, Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Live

NIGHTS_PER_COMMAND = 200
FIELD = "exposures without a visit"
ON_SKY = (
    "exposure.tracking_ra != NULL AND exposure.tracking_dec != NULL AND exposure.sky_angle != NULL"
    " AND (exposure.can_see_sky = NULL OR exposure.can_see_sky)"
)
"""What `on_sky` says, for a query."""


class VisitsSpec(Spec):
    """Visits of an instrument; the key is its name."""

    raws: str = Field(description="The collection of raws, searched for the camera's geometry.", examples=["LSSTComCam/raw/all"])


class VisitsKind(Kind[VisitsSpec]):
    """The kind of ``visits`` tables."""

    name = "visits"
    spec = VisitsSpec
    summary = "Visits of instruments."
    rank = 35
    answers = ("visits",)
    derived = True

    def provides(self, name: str, spec: VisitsSpec) -> Iterable[str]:
        yield f"visits:{name}"

    def needs(self, name: str, spec: VisitsSpec) -> Iterable[str]:
        yield f"instrument:{name}"
        yield f"collection:{spec.raws}"

    def subcommands(self, spec: VisitsSpec) -> Iterable[str]:
        yield "define-visits"

    def exists(self, live: Live, tokens: Collection[str]) -> Collection[str]:
        return {f"visits:{record.instrument}" for record in live.butler.records("visit_system")} & set(tokens)

    def observe(self, live: Live, desired: Mapping[str, VisitsSpec]) -> Mapping[str, Seen[VisitsSpec]]:
        seen = {}
        for name, spec in desired.items():
            on_the_sky = live.butler.count_records("exposure", ON_SKY, instrument=name)
            # As many visits as exposures: none is in two visits while another is in none.
            counts = {live.butler.count_records(element, instrument=name) for element in ("visit_definition", "visit")}
            if live.counts(on_the_sky) and counts == {on_the_sky}:
                seen[name] = Seen(spec, (Members.counted(FIELD, on_the_sky),), _regions(live, name))
                continue
            defined = {r.exposure for r in live.butler.records("visit_definition", instrument=name)}
            wanted: dict[Hashable, dict[str, Any]] = {
                r.id: {"exposure": r.id, "day_obs": r.day_obs}
                for r in live.butler.records("exposure", instrument=name)
                if on_sky(r)
            }
            members = Members.compare(FIELD, wanted, defined)
            conditions = _regions(live, name)
            exists = bool(defined) or bool(wanted and not members.missing)
            seen[name] = Seen(spec if exists else None, (members,), conditions)
        return seen

    def plan(self, missing: Missing[VisitsSpec]) -> Iterable[Action]:
        (members,) = missing.seen.members
        if members.missing or missing.seen.spec is None:
            nights = sorted({facts["day_obs"] for facts in members.missing}) if members.present else []
            args = {"instrument": missing.id.name, "raws": missing.desired.raws, "nights": nights}
            count = len(members.missing)
            yield Action(missing.id, "define", args, f"{count:,} exposures without a visit" if count else "no visits")

    def apply(self, live: Live, action: Action) -> None:
        list(live.run_butler(list(_define(action, live.butler.uri))))

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        yield from (["butler", *arguments] for arguments in _define(action, "$REPO"))


def on_sky(exposure: Any) -> bool:
    """Tell whether an exposure saw the sky, by the rule of obs_base's DefineVisitsTask.

    Parameters
    ----------
    exposure : `lsst.daf.butler.DimensionRecord`
        Its record.

    Returns
    -------
    on_sky : `bool`
        Whether it is to belong to a visit.
    """
    known = (exposure.tracking_ra, exposure.tracking_dec, exposure.sky_angle)
    return all(value is not None for value in known) and getattr(exposure, "can_see_sky", None) is not False


def _define(action: Action, repository: str) -> Iterable[list[str]]:
    base = ["define-visits", repository, action.args["instrument"], "--collections", action.args["raws"]]
    nights = action.args["nights"]
    if not nights:
        yield base
    for start in range(0, len(nights), NIGHTS_PER_COMMAND):
        some = ", ".join(str(night) for night in nights[start : start + NIGHTS_PER_COMMAND])
        yield [*base, "--where", f"exposure.day_obs IN ({some})"]


def _regions(live: Live, instrument: str) -> tuple[Condition, ...]:
    """Look for visits whose detectors lack their regions: counts first, records only where they differ."""
    visits = live.butler.count_records("visit", instrument=instrument)
    detectors = live.butler.count_records("detector", instrument=instrument)
    if live.butler.count_records("visit_detector_region", instrument=instrument) >= visits * detectors:
        return ()
    have = Counter(r.visit for r in live.butler.records("visit_detector_region", instrument=instrument))
    short = [r for r in live.butler.records("visit", instrument=instrument) if have[r.id] < detectors]
    text = f"{len(short):,} visits lack regions of detectors; a plain define-visits does not mend them"
    hint = ("butler", "define-visits", "$REPO", instrument, "--update-records")
    return (Condition("unwell", text, tuple({"visit": r.id, "day_obs": r.day_obs} for r in short), commands=(hint,)),)


KIND = VisitsKind()
