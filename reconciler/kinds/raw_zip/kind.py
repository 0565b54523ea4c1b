"""The kind of ``raw_zip`` tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from reconciler.counts import plural
from reconciler.engine.commands import Command
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import Change, Condition, Cost, DifferenceKind, JsonObject, Made, Observed
from reconciler.kinds.raw_zip.ingest import IngestZips, ingest, list_commands
from reconciler.kinds.raw_zip.listing import ZipDatasets
from reconciler.kinds.raw_zip.spec import RawZipSpec
from reconciler.kinds.raw_zip.storage import check_storage
from reconciler.kinds.shared.delivered_files import Deliveries
from reconciler.kinds.shared.delivery import delivery_tokens, systems_for
from reconciler.kinds.shared.nights import resolve_nights
from reconciler.kinds.shared.taken_names import find_taken_name

if TYPE_CHECKING:
    from reconciler.systems.context import Context


class RawZipKind(Kind[RawZipSpec, IngestZips]):
    """The kind of ``raw_zip`` tables; one of no zips is present even without its collection."""

    name = "raw_zip"
    spec = RawZipSpec
    traits = KindTraits(summary="Raw exposures delivered as zips, in RUN collections.", order=31)

    def links(self, name: str, spec: RawZipSpec) -> Links:
        return Links(
            provides=[f"collection:{run}" for run in dict.fromkeys((name, spec.guiders)) if run],
            contributes=["dataset_type:raw"],
            needs=[f"instrument:{spec.instrument}"],
            after=delivery_tokens(spec.delivered_by),
        )

    def requirements(self, spec: RawZipSpec) -> Requirements:
        return Requirements(systems=systems_for(spec.delivered_by))

    def validate(self, name: str, spec: RawZipSpec) -> Iterable[str]:
        try:
            resolve_nights(spec.nights)
        except ValueError as error:
            yield f"nights: {error}"
        if spec.transfer == "move":
            yield 'transfer: "move" would take the zips away from Rucio, which has them on record; use "direct", "copy" or a link'

    def observe(self, context: Context, desired: Mapping[str, RawZipSpec]) -> Mapping[str, Observed[RawZipSpec]]:
        return {name: _observe_zips(context, name, spec) for name, spec in desired.items()}

    def plan(self, change: Change[RawZipSpec]) -> Iterable[IngestZips]:
        if not change.observed.members:
            return  # a name is taken
        (members,) = change.observed.members
        if not members.missing:
            return
        count = len(members.missing)
        yield IngestZips(
            address=change.address,
            instrument=change.desired.instrument,
            zips=members.missing,
            transfer=change.desired.transfer,
            reason=f"{plural(count, 'exposure')} not ingested",
            cost=Cost(count, sum(member["bytes"] for member in members.missing)),
        )

    def apply(self, context: Context, action: IngestZips) -> Made:
        return ingest(context, action)

    def commands(self, action: IngestZips) -> Iterable[Command]:
        return list_commands(action)

    def list_deliveries(self, context: Context, name: str, spec: RawZipSpec) -> Deliveries:
        """Return the zips that are in Rucio, in the Butler, or in both."""
        from reconciler.kinds.raw_zip.deliveries import list_deliveries

        return list_deliveries(context, name, spec)

    def describe(self, member: JsonObject) -> MemberText:
        if not {"exposure", "day_obs"} <= member.keys():
            return super().describe(member)
        rest = [str(member[key]) for key in ("problem", "existing_path") if key in member]
        return MemberText("  ".join([str(member["day_obs"]), str(member["exposure"]), *rest]))


def _observe_zips(context: Context, name: str, spec: RawZipSpec) -> Observed[RawZipSpec]:
    from reconciler.kinds.raw_zip.comparison import compare_with_zips

    if spec.manage != "observe":
        taken = [condition for run in (name, spec.guiders) if run for condition in find_taken_name(context, run, "RUN")]
        if taken:
            collection = context.butler.collections().get(name)  # only that of the guiders may be taken
            exists = collection is not None and collection.type == "RUN"
            return Observed(spec, conditions=tuple(taken), taken=not exists)
    nights = resolve_nights(spec.nights)
    datasets = ZipDatasets.find(context, spec, nights)
    members, conditions = compare_with_zips(context, name, spec, nights, datasets)
    if datasets.unregistered:
        text = f"waiting for {', '.join(datasets.unregistered)}, not registered in Rucio yet for any of these nights"
        conditions = (*conditions, Condition(DifferenceKind.WAITING, text, field="delivered_by"))
    exists = name in context.butler.collections() or not members.desired
    return Observed(spec if exists else None, (members,), (*conditions, *check_storage(context, name, spec, nights)))
