"""The kind of ``raw`` tables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from reconciler.engine.commands import Command
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import Address, Change, Cost, DifferenceKind, JsonObject, Made, Members, Observed
from reconciler.kinds.raw.batches import check_storage
from reconciler.kinds.raw.comparison import compare_with_files
from reconciler.kinds.raw.data_id_pattern import DETECTOR_GROUPS, EXPOSURE_GROUPS
from reconciler.kinds.raw.deliveries import list_deliveries
from reconciler.kinds.raw.files import list_files, prefetch_datasets
from reconciler.kinds.raw.ingest import IngestRaws, ingest_raws, list_commands
from reconciler.kinds.raw.spec import RawSpec
from reconciler.kinds.shared.delivered_files import Deliveries
from reconciler.kinds.shared.delivery import delivery_tokens, split_delivered, systems_for
from reconciler.kinds.shared.exposure_members import describe_exposure_member
from reconciler.kinds.shared.proven_datasets import may_be_proven
from reconciler.kinds.shared.taken_names import find_taken_name
from reconciler.kinds.shared.transfer import check_transfer

if TYPE_CHECKING:
    from reconciler.systems.context import Context


class RawKind(Kind[RawSpec, IngestRaws]):
    """The kind of ``raw`` tables; one of no raws is present even without its collection."""

    name = "raw"
    spec = RawSpec
    traits = KindTraits(summary="Raw exposures in RUN collections.", order=30)

    def links(self, name: str, spec: RawSpec) -> Links:
        return Links(
            provides=[f"collection:{name}"],
            contributes=["dataset_type:raw"],
            needs=[f"instrument:{spec.instrument}"],
            after=delivery_tokens(spec.delivered_by),
        )

    def requirements(self, spec: RawSpec) -> Requirements:
        return Requirements(
            systems=systems_for(spec.delivered_by),
            input_files=[path for path in (spec.locations_file, spec.config_file) if path is not None],
            butler_commands=["ingest-raws"],
            classes=[spec.ingest_task] if spec.ingest_task is not None else [],
        )

    def validate(self, name: str, spec: RawSpec) -> Iterable[str]:
        yield from check_transfer(spec.transfer, spec.delivered_by)
        for field, text in (("files", spec.files), ("data_id", spec.data_id)):
            try:
                groups = re.compile(text or "").groupindex
            except re.error as error:
                yield f"{field}: not a regular expression: {error}"
                continue
            if field == "data_id" and text is not None:
                for options in (EXPOSURE_GROUPS, DETECTOR_GROUPS):
                    if not any(option in groups for option in options):
                        yield f"data_id: needs a group (?P<{options[0]}>…) or (?P<{options[1]}>…)"
        for pattern in spec.exclude:
            if pattern.endswith("/"):
                yield f'exclude: "{pattern}" is the name of a folder, and files are excluded; write "{pattern}*"'
        if not spec.locations and spec.locations_file is None:
            yield "needs locations or locations_file"
        if spec.transfer != "direct" and spec.data_id is None:
            text = "puts the raws at other paths, so that they can't be compared by path"
            yield f'transfer = "{spec.transfer}" {text}; set data_id, or use transfer = "direct"'

    def observe(self, context: Context, desired: Mapping[str, RawSpec]) -> Mapping[str, Observed[RawSpec]]:
        observed = {name: _observe_raws(context, name, spec) for name, spec in desired.items()}
        return {
            name: dataclasses.replace(found, conditions=found.conditions + check_storage(context, name, desired[name]))
            for name, found in observed.items()
        }

    def prefetch(self, context: Context, desired: Mapping[str, RawSpec]) -> Callable[[], None] | None:
        """Query the Rucio datasets, and list files at the side: those of open datasets, and all where no proof may save that."""
        batches = []
        for name, spec in desired.items():
            of_closed = context.policy.deep or not (context.policy.quick or may_be_proven(str(Address(self.name, name))))
            batches += prefetch_datasets(context, spec, of_closed=of_closed)

        def list_all() -> None:
            for datasets in batches:
                context.rucio.files_by_dataset(datasets)

        return list_all if batches else None

    def plan(self, change: Change[RawSpec]) -> Iterable[IngestRaws]:
        if not change.observed.members:
            return  # the name is taken
        (members,) = change.observed.members
        if not members.missing:
            return
        spec, count = change.desired, len(members.missing)
        yield IngestRaws(
            address=change.address,
            files=tuple(member["path"] for member in members.missing),
            locations=spec.locations,
            transfer=spec.transfer,
            run=None if change.address.name == f"{spec.instrument}/raw/all" else change.address.name,
            options=spec.ingest_options,
            data_id=spec.data_id,
            whole=_names_all(spec, members) and not _is_blocked(change.observed),
            reason=f"{count:,} not ingested",
            cost=Cost(count, sum(member["bytes"] for member in members.missing)),
        )

    def apply(self, context: Context, action: IngestRaws) -> Made:
        return ingest_raws(context, action)

    def commands(self, action: IngestRaws) -> Iterable[Command]:
        return list_commands(action)

    def list_deliveries(self, context: Context, name: str, spec: RawSpec) -> Deliveries:
        """Return the raws that are in Rucio, in the Butler, or in both."""
        return list_deliveries(context, name, spec)

    def describe(self, member: JsonObject) -> MemberText:
        if {"exposure", "detector"} <= member.keys() and "existing_path" not in member:
            return describe_exposure_member(member)
        return super().describe(member)


def _names_all(spec: RawSpec, members: Members) -> bool:
    """Return True if the locations of a table name all raws that are missing, and nothing else as far as that is known."""
    return not members.present and not members.awaited and spec.locations_file is None and not spec.exclude


def _is_blocked(observed: Observed[RawSpec]) -> bool:
    """Return True if the locations contain files that can't be ingested."""
    return any(condition.kind is DifferenceKind.BLOCKED for condition in observed.conditions)


def _observe_raws(context: Context, name: str, spec: RawSpec) -> Observed[RawSpec]:
    if spec.manage != "observe" and (taken := find_taken_name(context, name, "RUN")):
        return Observed(spec, conditions=taken, taken=True)
    files = list_files(context, spec)
    members, mismatches = compare_with_files(context, name, spec, files)
    members, waiting = split_delivered(context, spec.delivered_by, members)
    exists = name in context.butler.collections() or not members.desired
    return Observed(spec if exists else None, (members,), (*files.conditions, *mismatches, *waiting))
