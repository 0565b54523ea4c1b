"""Raw exposures: ingest those that exist and are not ingested yet.

Rucio, or a walk over the folders, gives the files that exist, and the Butler those that are ingested. A pattern in the state
finds the data ID in the path of a file; without one, files are compared by URI. Only files that Rucio has delivered here are
ingested.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import (
    Action,
    Change,
    Command,
    Comparison,
    Condition,
    Cost,
    JsonObject,
    Made,
    Members,
    Observed,
    Spec,
)
from reconciler.errors import StateError
from reconciler.kinds.shared.delivery import DELIVERED_BY, delivery_tokens, local_path, split_delivered, systems_for
from reconciler.kinds.shared.exposure_members import describe_exposure_member
from reconciler.kinds.shared.incomplete_nights import count_exposures, find_incomplete_nights
from reconciler.kinds.shared.storage_check import VERIFY, check_stored_files, sample_size
from reconciler.kinds.shared.transfer import TRANSFER, Transfer
from reconciler.systems.butler.queries import between_nights, exposures_on_nights, on_nights

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context

EXPOSURE_GROUPS = ("exposure", "obs_id")
DETECTOR_GROUPS = ("detector", "full_name")
MAX_FILES_IN_COMMAND = 20
"""Up to this many files are named in a command; if there are more, it names their folders."""
RAWS_PER_BATCH = 20_000
"""Raws whose files are checked on storage at once, which bounds the memory."""
UNKNOWN_NIGHT = 0
"""The night of Rucio datasets whose names contain no day of observation."""
OPEN_LENGTH = 1 << 40
"""Stands for the length of an open dataset, which is unknown: the counts of its night never agree, so its raws are listed."""


class RawSpec(Spec):
    """Raw exposures; the key is the name of their RUN collection."""

    instrument: str = Field(description="Short name of the instrument that took the raws.", examples=["LSSTComCam"])
    locations: tuple[str, ...] = Field(
        min_length=1, description="Folders that contain the raws, as paths or URIs.", examples=[["${data}/raw/LSSTComCam"]]
    )
    transfer: Transfer = TRANSFER
    delivered_by: tuple[str, ...] = DELIVERED_BY
    verify: str = VERIFY
    sidecars: int = Field(
        0,
        ge=0,
        description=(
            "Number of non-raw files that Rucio has for each exposure, such as `_index.json`. With the right number, raws are "
            "listed only for nights whose counts differ; without it Rucio's counts never agree with those of the raws."
        ),
        examples=[1],
    )
    files: str = Field(r"\.fits?(\.fz|\.gz)?$", description="Regular expression that the names of raws match.")
    data_id: str | None = Field(
        None,
        description=(
            "Regular expression that finds the data ID in the path of a raw, with a group for the exposure, `exposure` (its "
            "number) or `obs_id`, and one for the detector, `detector` (its number) or `full_name`. Without it, files are "
            "compared by URI."
        ),
        examples=[r"(?P<obs_id>CC_O_\d{8}_\d{6})_(?P<full_name>R\d\d_S\d\d)\.fits"],
    )


class IngestRaws(Action):
    """Ingest raws with ``butler ingest-raws``.

    Parameters
    ----------
    files : `tuple` [`str`, ...]
        URIs of the raws.
    locations : `tuple` [`str`, ...]
        Folders that contain them.
    transfer : `str`
        Transfer mode of the Butler.
    run : `str` or `None`
        RUN collection; `None` for the one that ``butler ingest-raws`` chooses itself.
    whole : `bool`
        Whether these are all raws of the table, so that a command may name the folders.
    """

    verb: Literal["ingest"] = "ingest"
    files: tuple[str, ...]
    locations: tuple[str, ...]
    transfer: Transfer
    run: str | None = None
    whole: bool = False


class RawKind(Kind[RawSpec, IngestRaws]):
    """The kind of ``raw`` tables."""

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
        return Requirements(systems=systems_for(spec.delivered_by), butler_commands=["ingest-raws"])

    def validate(self, name: str, spec: RawSpec) -> Iterable[str]:
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

    def observe(self, context: Context, desired: Mapping[str, RawSpec]) -> Mapping[str, Observed[RawSpec]]:
        observed = {name: _observe_raws(context, name, spec) for name, spec in desired.items()}
        return {
            name: dataclasses.replace(found, conditions=found.conditions + _check_storage(context, name, desired[name]))
            for name, found in observed.items()
        }

    def plan(self, change: Change[RawSpec]) -> Iterable[IngestRaws]:
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
            whole=not members.present and not members.awaited,
            reason=f"{count:,} not ingested",
            cost=Cost(count, sum(member["bytes"] for member in members.missing)),
        )

    def apply(self, context: Context, action: IngestRaws) -> Made:
        total, done = len(action.files), 0
        chunks = context.split_into_chunks(action.files)
        context.report_progress("raws", done, total)
        for _ in context.run_butler([_ingest_raws(action, context.butler.uri, chunk) for chunk in chunks]):
            done = min(done + len(chunks[0]), total)
            context.report_progress("raws", done, total)
        context.butler.analyze(total)
        return {"raws": total}

    def commands(self, action: IngestRaws) -> Iterable[Command]:
        places: Sequence[str] = action.files
        if action.whole:
            places = action.locations
        elif len(places) > MAX_FILES_IN_COMMAND:
            places = sorted({file.rpartition("/")[0] for file in action.files})
        yield Command("butler", *_ingest_raws(action, "$REPO", places))

    def describe(self, member: JsonObject) -> MemberText:
        return describe_exposure_member(member) if {"exposure", "detector"} <= member.keys() else super().describe(member)


def _ingest_raws(action: IngestRaws, repository: str, places: Sequence[str]) -> list[str]:
    run = ["--output-run", action.run] if action.run else []
    return ["ingest-raws", "--fail-fast", "--transfer", action.transfer, *run, repository, *places]


def _observe_raws(context: Context, name: str, spec: RawSpec) -> Observed[RawSpec]:
    members, dids = _compare_with_rucio(context, name, spec) if spec.delivered_by else _compare_with_storage(context, name, spec)
    members, conditions = split_delivered(context, dids, members)
    exists = name in context.butler.collections() or not members.desired
    return Observed(spec if exists else None, (members,), conditions)


def _compare_with_storage(context: Context, name: str, spec: RawSpec) -> tuple[Members, Sequence[str]]:
    """Compare the files in the table's folders with what is ingested."""
    sizes = dict.fromkeys(context.find_files(spec.locations, spec.files), 0)
    if context.policy.compares_by_count(len(sizes)):
        count = sum(re.search(spec.data_id or "", path) is not None for path in sizes)
        if context.butler.count("raw", [name]) == count:
            return Members.counted("raws", count), ()
    return _compare(context, name, spec, sizes), ()


def _compare_with_rucio(context: Context, name: str, spec: RawSpec) -> tuple[Members, Sequence[str]]:
    """Compare the files that Rucio knows with what is ingested, and return the Rucio datasets that were compared by member."""
    nights = _find_nights(context, spec)
    differing = list(nights)
    if context.policy.compares_by_count(sum(night.files for night in nights.values())):
        differing = _find_differing_nights(context, name, spec, nights)
        if not differing:
            return Members.counted("raws", context.butler.count("raw", [name])), ()
    dids = [did for day_obs in differing for did in nights[day_obs].dids]
    sizes = _find_sizes(context, spec, dids)
    if len(differing) == len(nights):
        return _compare(context, name, spec, sizes), dids
    members = _compare(context, name, spec, sizes, differing)
    if any(member.get("day_obs") not in differing for member in members.missing):
        # The nights in the names of Rucio's datasets are not those of the exposures.
        return _compare(context, name, spec, sizes), dids
    others = context.butler.count("raw", [name]) - context.butler.count("raw", [name], on_nights(spec.instrument, differing))
    desired, present = members.desired + others, members.present + others
    return dataclasses.replace(members, desired=desired, present=present, compared=Comparison.COUNT), dids


@dataclass(frozen=True)
class _Night:
    """The number of files in Rucio's datasets of one day of observation, and those datasets."""

    files: int = 0
    dids: tuple[str, ...] = ()


def _find_nights(context: Context, spec: RawSpec) -> dict[int, _Night]:
    """Return what Rucio's datasets contain, by the day of observation in their names."""
    dids = [did for pattern in spec.delivered_by for did in context.rucio.matching(pattern)]
    facts = context.rucio.dids(dids) if dids else {}
    nights: dict[int, _Night] = defaultdict(_Night)
    for did in dids:
        days = re.findall(r"(?<!\d)20\d{6}(?!\d)", did)
        day_obs = int(days[-1]) if days else UNKNOWN_NIGHT
        length = facts[did].length if did in facts else None
        night = nights[day_obs]
        nights[day_obs] = _Night(night.files + (OPEN_LENGTH if length is None else length), (*night.dids, did))
    return dict(nights)


def _find_differing_nights(context: Context, name: str, spec: RawSpec, nights: Mapping[int, _Night]) -> list[int]:
    """Return the nights of which Rucio has more or fewer files than there are raws and sidecars.

    Sidecars are counted for all recorded exposures, so a night with exposures that have no raws here differs, too.
    """
    order = sorted(nights)
    exposures = context.butler.count_records("exposure", instrument=spec.instrument) if spec.sidecars else 0
    files = sum(night.files for night in nights.values())
    if context.butler.count("raw", [name]) + spec.sidecars * exposures == files:
        return []
    if UNKNOWN_NIGHT in nights:
        return order

    def surplus(begin: int, end: int) -> int:
        raws = context.butler.count("raw", [name], between_nights(spec.instrument, begin, end))
        sidecars = spec.sidecars * count_exposures(context, spec.instrument, begin, end) if spec.sidecars else 0
        return raws + sidecars - sum(night.files for day_obs, night in nights.items() if begin <= day_obs < end)

    return find_incomplete_nights(order, surplus)


def _find_sizes(context: Context, spec: RawSpec, dids: Sequence[str]) -> dict[str, int]:
    """Return the size of each raw in some Rucio datasets, by the path that it has here once it is delivered."""
    names = re.compile(spec.files)
    sizes = {}
    for file in context.rucio.files(dids):
        if names.search(file.name):
            # The right location is the one whose end the name repeats, which gives the shortest path.
            sizes[min((local_path(location, file.name) for location in spec.locations), key=len)] = file.size
    return sizes


def _compare(context: Context, name: str, spec: RawSpec, sizes: Mapping[str, int], nights: Sequence[int] = ()) -> Members:
    """Compare raws by member with what is ingested, of some nights or of all."""
    data_ids = _DataIdPattern.compile(spec.data_id) if spec.data_id is not None else None
    desired: dict[Hashable, JsonObject] = {}
    for path, size in sizes.items():
        if data_ids is None:
            desired[path] = {"path": path, "bytes": size}
        elif data_id := data_ids.parse(path):
            desired[data_id["exposure"], data_id["detector"]] = {**data_id, "path": path, "bytes": size}
    where = on_nights(spec.instrument, nights) if nights else ""
    present: Collection[Hashable]
    if data_ids is None:
        present = set(context.butler.paths(context.butler.refs("raw", [name], where)).values())
    else:
        numbers = context.butler.data_ids("raw", [name], ["exposure", "detector"], where)
        present = data_ids.convert(context, spec.instrument, numbers, nights)
    return Members.compare("raws", desired, present)


@dataclass(frozen=True)
class _DataIdPattern:
    """A regular expression that finds the exposure and the detector in a path, each by its number or by its name."""

    pattern: re.Pattern[str]
    by_obs_id: bool
    by_full_name: bool

    @classmethod
    def compile(cls, text: str) -> _DataIdPattern:
        pattern = re.compile(text)
        return cls(pattern, "obs_id" in pattern.groupindex, "full_name" in pattern.groupindex)

    def parse(self, path: str) -> dict[str, Any] | None:
        """Return exposure, detector and night, as far as they are in a path; None if it doesn't match."""
        match = self.pattern.search(path)
        if match is None:
            return None
        exposure = self._value(match, "obs_id") if self.by_obs_id else self._number(match, "exposure")
        detector = self._value(match, "full_name") if self.by_full_name else self._number(match, "detector")
        data_id = {"exposure": exposure, "detector": detector}
        if night := re.search(r"(?<!\d)(20\d{6})(?!\d)", str(exposure)) or re.match(r"(20\d{6})\d{5}$", str(exposure)):
            data_id["day_obs"] = int(night[1])
        return data_id

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
        self, context: Context, instrument: str, numbers: set[tuple[Any, ...]], nights: Sequence[int]
    ) -> set[tuple[Any, ...]]:
        """Convert numbers of exposures and detectors to what the pattern finds: numbers or names."""
        if not self.by_obs_id and not self.by_full_name:
            return numbers
        where = exposures_on_nights(nights) if nights else ""
        exposures = context.butler.records("exposure", where, instrument=instrument) if self.by_obs_id else ()
        detectors = context.butler.records("detector", instrument=instrument)
        obs_ids = {record.id: record.obs_id for record in exposures}
        full_names = {record.id: record.full_name for record in detectors}
        return {
            (obs_ids[exposure] if self.by_obs_id else exposure, full_names[detector] if self.by_full_name else detector)
            for exposure, detector in numbers
        }


def _check_storage(context: Context, name: str, spec: RawSpec) -> tuple[Condition, ...]:
    """Check the files of ingested raws."""
    if spec.verify == "none":
        return ()
    total = context.butler.count("raw", [name])
    return check_stored_files(context, spec.verify, _list_batches(context, name, spec, total), total, spec.delivered_by)


def _list_batches(context: Context, name: str, spec: RawSpec, total: int) -> Iterator[list[DatasetRef]]:
    """Yield the raws exposure by exposure, in batches; for a sample of N, one batch with the raws of N random exposures."""
    exposures = sorted(context.butler.data_ids("raw", [name], ["instrument", "exposure"]))
    count, size = sample_size(spec.verify), max(RAWS_PER_BATCH * len(exposures) // max(total, 1), 1)
    if count is not None:
        exposures = random.sample(exposures, min(count, len(exposures)))
        size = max(len(exposures), 1)
    for start in range(0, len(exposures), size):
        numbers: dict[str, list[int]] = defaultdict(list)
        for instrument, exposure in exposures[start : start + size]:
            numbers[instrument].append(exposure)
        yield [
            ref
            for instrument, chosen in numbers.items()
            for ref in context.butler.refs_in("raw", [name], "exposure", chosen, instrument)
        ]


KIND = RawKind()
