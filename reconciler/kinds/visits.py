"""Visits: every on-sky exposure belongs to one, in each visit system.

Only exposures that lack a visit are given to define-visits, because it computes the visits of all that it is given: one that
exists with other values, such as regions of an earlier camera geometry, would be a conflict. Exposures of one visit are given
together.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import REPO, Command
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import Action, Change, Condition, DifferenceKind, JsonObject, Members, Observed
from reconciler.engine.spec import Spec
from reconciler.errors import ApplyError, PartlyApplied
from reconciler.kinds.shared.command_batches import run_in_batches
from reconciler.kinds.shared.visit_completeness import NAMES, SYSTEMS, Lack, are_complete, find_incomplete
from reconciler.systems.butler import queries

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.worker_link import Steps

COMMAND = "define-visits"
EXPOSURES_PER_COMMAND = 1_000
"""Exposures that one command names, whose visits take half a minute."""
WILDCARDS = frozenset("*?")
"""What no name of a collection contains; a bracket may be part of one."""
FIELD = "exposures with a visit"
SHOWN = 10
"""Visits that an error names."""
SKIP, INCREMENTAL = "--skip-conflicting", "--incremental"
VisitSystem = Literal["one-to-one", "by-group-metadata", "by-seq-start-end"]


class VisitsSpec(Spec):
    """Visits of an instrument; the key is its name."""

    raws: str = Field(
        description="Collection with the raws of the instrument, searched for the camera geometry.",
        examples=["LSSTComCam/raw/all"],
    )
    visit_systems: tuple[VisitSystem, ...] = Field(
        (),
        description=(
            "Visit systems in which each exposure must have a visit; without it, those that define-visits has registered for the "
            "instrument."
        ),
        examples=[["one-to-one"]],
    )


class DefineVisits(Action):
    """Define the visits of some exposures, or of all if there are no visits yet.

    Parameters
    ----------
    raws : `str`
        Collection with the raws.
    groups : `tuple` [`tuple` [`int`, ...], ...]
        The exposures, with those of one visit together.
    late : `tuple` [`int`, ...]
        Exposures that are added to existing visits, whose records change.
    visit_systems : `tuple` [`str`, ...]
        As in the table.
    whole : `bool`
        Whether no exposure of the instrument has all of its visits and none is late, so that the command need not name any.
    """

    verb: Literal["define"] = "define"
    raws: str
    groups: tuple[tuple[int, ...], ...] = ()
    late: tuple[int, ...] = ()
    visit_systems: tuple[VisitSystem, ...] = ()
    whole: bool = False

    @property
    def risk(self) -> str:
        return f"updates the visits of {_count(self.late, 'late exposure', 'late exposures')}" if self.late else ""


class VisitsKind(Kind[VisitsSpec, DefineVisits]):
    """The kind of ``visits`` tables.

    They provide the visits of their instrument: of all of its exposures on the sky, in whatever collection their raws are. They
    need the instrument and the collection of its raws, in which define-visits searches the camera, and whose name has no
    wildcards. Visits are absent while the instrument is unknown, or while it has exposures on the sky and none of them has all of
    its visits. Visits that lack regions of detectors are reported, not repaired. An apply names what it couldn't define; it
    doesn't count what it defined, which define-visits keeps to itself.
    """

    name = "visits"
    spec = VisitsSpec
    traits = KindTraits(summary="Visits of instruments.", order=35, depends_on_content=True)

    def links(self, name: str, spec: VisitsSpec) -> Links:
        return Links(provides=[f"visits:{name}"], needs=[f"instrument:{name}", f"collection:{spec.raws}"])

    def requirements(self, spec: VisitsSpec) -> Requirements:
        return Requirements(butler_commands=[COMMAND])

    def validate(self, name: str, spec: VisitsSpec) -> Iterable[str]:
        if not WILDCARDS.isdisjoint(spec.raws):
            yield f'raws: "{spec.raws}" has wildcards, and define-visits needs the name of one collection'

    def observe(self, context: Context, desired: Mapping[str, VisitsSpec]) -> Mapping[str, Observed[VisitsSpec]]:
        return {name: _observe_visits(context, name, spec) for name, spec in desired.items()}

    def plan(self, change: Change[VisitsSpec]) -> Iterable[DefineVisits]:
        (members,) = change.observed.members
        if not members.missing and change.exists:
            return
        late = tuple(member["exposure"] for member in members.missing if member["joins"])
        groups = dict.fromkeys(tuple(member["group"]) for member in members.missing if not member["joins"])
        count = len(members.missing)
        yield DefineVisits(
            address=change.address,
            raws=change.desired.raws,
            groups=tuple(groups),
            late=late,
            whole=not members.present and not late,
            visit_systems=change.desired.visit_systems,
            reason=f"{count:,} {'exposure' if count == 1 else 'exposures'} without a visit" if count else "no visits",
        )

    def apply(self, context: Context, action: DefineVisits) -> None:
        _define_visits(context, action)

    def commands(self, action: DefineVisits) -> Iterable[Command]:
        """Yield the commands without --skip-conflicting, which an apply adds where define-visits has it."""
        return (Command("butler", *arguments) for arguments in _list_arguments(action, REPO))

    def describe(self, member: JsonObject) -> MemberText:
        lacks = f"   no visit of {', '.join(member['lacks'])}" if member.get("lacks") else ""
        return MemberText(f"{member.get('day_obs', '')}   {member[key]}{lacks}" if (key := _find_key(member)) else "")


def _find_key(member: JsonObject) -> str:
    return next((key for key in ("exposure", "visit") if key in member), "")


def _observe_visits(context: Context, instrument: str, spec: VisitsSpec) -> Observed[VisitsSpec]:
    butler = context.butler
    conditions = tuple(_find_missing_regions(context, instrument, spec.raws))
    on_sky = _select_on_sky(context)
    if context.policy.quick:
        count = butler.count_records("exposure", on_sky, instrument=instrument)
        if context.policy.compares_by_count(count) and _counts_agree(context, instrument, spec, count):
            return Observed(spec, (Members.counted(FIELD, count),), conditions)
    nights = butler.nights(instrument, on_sky)
    incomplete = _find_incomplete(context, instrument, spec.visit_systems, nights)
    desired: dict[Hashable, JsonObject] = {
        number: _to_member(number, night, incomplete.get(number)) for number, night in nights.items()
    }
    # Nothing is missing where no exposure sees the sky; but where the instrument is still unknown, everything is to come.
    exists = len(incomplete) < len(desired) or (not desired and butler.count_records("instrument", instrument=instrument))
    return Observed(spec if exists else None, (Members.compare(FIELD, desired, desired.keys() - incomplete),), conditions)


def _select_on_sky(context: Context) -> str:
    return queries.on_sky(records_sky=context.butler.has_field("exposure", "can_see_sky"))


def _find_incomplete(
    context: Context, instrument: str, visit_systems: Sequence[VisitSystem], numbers: Iterable[int]
) -> dict[int, Lack]:
    """Return what exposures on the sky, which are all of these, lack; what decides that is read only if one lacks something."""
    butler = context.butler
    visits = butler.visit_definitions(instrument), butler.visit_memberships(instrument)
    systems = _find_systems(context, instrument, visit_systems)
    if are_complete(numbers, *visits, systems):
        return {}
    exposures = butler.exposures(instrument, _select_on_sky(context))
    return find_incomplete(exposures, *visits, systems, strict=bool(visit_systems))


def _find_systems(context: Context, instrument: str, names: Sequence[VisitSystem]) -> frozenset[int]:
    """Return the visit systems of a table, or those that define-visits has registered."""
    if names:
        return frozenset(SYSTEMS[name] for name in names)
    return frozenset(record.id for record in context.butler.records("visit_system", instrument=instrument))


def _counts_agree(context: Context, instrument: str, spec: VisitsSpec, count: int) -> bool:
    """Return True if there are as many visits as exposures, so that none is in two while another is in none, in each system."""
    butler = context.butler
    counts = {butler.count_records(element, instrument=instrument) for element in ("visit_definition", "visit")}
    systems = _find_systems(context, instrument, spec.visit_systems)
    members = butler.count_records("visit_system_membership", instrument=instrument)
    return counts == {count} and members >= count * len(systems)


def _to_member(exposure: int, night: int, lack: Lack | None) -> JsonObject:
    member = {"exposure": exposure, "day_obs": night}
    if lack is None:
        return member
    return {
        **member,
        "lacks": [NAMES.get(system, str(system)) for system in sorted(lack.systems)],
        "group": lack.group,
        "joins": lack.joins,
    }


def _find_missing_regions(context: Context, instrument: str, raws: str) -> Iterable[Condition]:
    """Find visits without the regions of some detectors: counts are compared first, and records read only if they differ."""
    butler = context.butler
    visits = butler.count_records("visit", instrument=instrument)
    detectors = butler.count_records("detector", instrument=instrument)
    if butler.count_records("visit_detector_region", instrument=instrument) >= visits * detectors:
        return
    regions = Counter(record.visit for record in butler.records("visit_detector_region", instrument=instrument))
    short = [record for record in butler.records("visit", instrument=instrument) if regions[record.id] < detectors]
    lack = "visit lacks" if len(short) == 1 else "visits lack"
    text = f"{len(short):,} {lack} detector regions, which define-visits adds only with --update-records"
    members = tuple({"visit": record.id, "day_obs": record.day_obs} for record in short)
    command = Command("butler", COMMAND, REPO, instrument, "--collections", raws, "--update-records")
    yield Condition(DifferenceKind.DEGRADED, text, members, commands=(command,))


def _define_visits(context: Context, action: DefineVisits) -> None:
    """Define the visits of an action.

    Raises
    ------
    reconciler.errors.PartlyApplied
        If some exposures have no visit afterwards.
    reconciler.errors.ApplyError
        If there are late exposures, and this define-visits can't add them to visits.
    reconciler.errors.ObserveError
        If the repository can't be queried afterwards.
    reconciler.errors.Interrupted
        If the operator asked to stop.
    """
    options = context.commands.list_options(COMMAND)
    flags = [SKIP] if SKIP in options else []
    if action.late and INCREMENTAL not in options:
        raise ApplyError(f"define-visits has no option {INCREMENTAL}, which {len(action.late):,} late exposures need")
    errors: list[str] = []
    if action.whole:
        errors = _run(context, action, [[()]], flags)
    if errors or not action.whole:
        errors = _run(context, action, _list_batches(action), flags)
    errors += _run(context, action, [[(number,) for number in action.late]], [INCREMENTAL])
    _check_visits(context, action, list(dict.fromkeys(errors)))


def _run(context: Context, action: DefineVisits, batches: Sequence[Sequence[Sequence[int]]], flags: Collection[str]) -> list[str]:
    """Run define-visits on batches of groups, and return why some could not be defined."""
    total = sum(len(group) for group in action.groups) + len(action.late)

    def write(groups: Sequence[Sequence[int]]) -> list[str]:
        return _write_arguments(action, context.butler.uri, groups, flags)

    def show(steps: Steps) -> None:
        context.report_progress("visits", min(steps.prepared, total), total)

    return [report.error for _, report in run_in_batches(context, batches, write, on_steps=show) if report.error]


def _check_visits(context: Context, action: DefineVisits, errors: Sequence[str]) -> None:
    """Check that the exposures of an action have visits now, and name the visits that are in the way of the others."""
    context.forget("butler")
    instrument = action.address.name
    incomplete = _find_incomplete(
        context, instrument, action.visit_systems, context.butler.nights(instrument, _select_on_sky(context))
    )
    asked = {number for group in action.groups for number in group} | set(action.late)
    left = sorted(incomplete if action.whole else incomplete.keys() & asked)
    if not left:
        return
    rivals = _find_rivals(context, instrument, left)
    problems = [f"{_count(left, 'exposure still lacks', 'exposures still lack')} a visit: {_join(left)}", *errors]
    if rivals:
        text = _count(rivals, "visit exists", "visits exist")
        problems.append(f"{text} with other values than define-visits computes now: {_join(rivals)}")
        command = f"butler {COMMAND} {context.butler.uri} {instrument} --collections {action.raws}"
        command += f' --where "{_select(instrument, [left[:SHOWN]])}"'
        hints = [
            f"{SKIP} leaves such visits as they are, and defines the others: that was done"
            if SKIP in context.commands.list_options(COMMAND)
            else f"this define-visits has no {SKIP}, which would leave such visits as they are and define the others",
            f"--update-records overwrites their times and regions: {command} --update-records",
        ]
    else:
        systems = sorted({NAMES.get(system, str(system)) for number in left for system in incomplete[number].systems})
        hints = (
            [f"define-visits made none in {', '.join(systems)}; visit_systems names the systems that count"] if systems else []
        )
    raise PartlyApplied(problems, {}, hints)


def _find_rivals(context: Context, instrument: str, exposures: Sequence[int]) -> list[int]:
    """Return the visits that have the numbers which define-visits gives those of exposures, and don't consist of them."""
    defined = set(context.butler.visit_definitions(instrument))
    existing = {record.id for record in context.butler.records("visit", instrument=instrument)}
    candidates = ((number, exposure) for exposure in exposures for number in (exposure, int(f"9{exposure}")))
    return sorted({number for number, exposure in candidates if number in existing and (number, exposure) not in defined})


def _count(numbers: Sequence[int], one: str, many: str) -> str:
    return f"1 {one}" if len(numbers) == 1 else f"{len(numbers):,} {many}"


def _join(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else ""
    return ", ".join(map(str, numbers[:SHOWN])) + more


def _list_batches(action: DefineVisits) -> list[list[tuple[int, ...]]]:
    """Return the groups for each command."""
    batches: list[list[tuple[int, ...]]] = []
    room = 0
    for group in action.groups:
        if room <= 0:
            batches.append([])
            room = EXPOSURES_PER_COMMAND
        batches[-1].append(group)
        room -= len(group)
    return batches


def _list_arguments(action: DefineVisits, repository: str) -> Iterator[list[str]]:
    """Return the arguments of each ``butler`` command."""
    for batch in [[()]] if action.whole else _list_batches(action):
        yield _write_arguments(action, repository, batch, ())
    if action.late:
        yield _write_arguments(action, repository, [action.late], [INCREMENTAL])


def _write_arguments(action: DefineVisits, repository: str, groups: Sequence[Sequence[int]], flags: Collection[str]) -> list[str]:
    where = ["--where", _select(action.address.name, groups)] if any(groups) else []
    return [COMMAND, repository, action.address.name, "--collections", action.raws, *flags, *where]


def _select(instrument: str, groups: Iterable[Iterable[int]]) -> str:
    return queries.with_values(instrument, "exposure", _compress(sorted(number for group in groups for number in group)))


def _compress(numbers: Sequence[int]) -> Iterator[str]:
    """Yield numbers as the query language takes them, with successive ones as a range."""
    for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        yield str(found[0]) if len(found) == 1 else f"{found[0]}..{found[-1]}"


KIND = VisitsKind()
