"""Raw exposures: ingest those that exist and are not ingested yet.

Rucio, or a walk over the folders, gives the files that exist, and the Butler those that are ingested. A pattern in the state
finds the data ID in the path of a file; without one, files are compared by URI. Only files that Rucio has delivered here are
ingested.
"""

from __future__ import annotations

import dataclasses
import functools
import posixpath
import random
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import (
    REPO,
    Action,
    Address,
    Change,
    Command,
    Condition,
    Cost,
    DifferenceKind,
    InputPath,
    JsonObject,
    Made,
    Members,
    Observed,
    Spec,
)
from reconciler.errors import ApplyError, ObserveError, StateError, WorkerDied
from reconciler.kinds.shared.datastore_records import NO_RECORD, find_wrong_records
from reconciler.kinds.shared.delivered_files import (
    NO_DETECTOR,
    NO_NIGHT,
    DeliveredFile,
    Deliveries,
    RefBatches,
    RegisteredFiles,
    find_datasets,
)
from reconciler.kinds.shared.delivery import DELIVERED_BY, delivery_tokens, local_path, split_delivered, systems_for
from reconciler.kinds.shared.exposure_members import describe_exposure_member
from reconciler.kinds.shared.grown_raws import FilePart, GrownRaws, digest_files
from reconciler.kinds.shared.proven_datasets import ProvenDatasets, digest_spec
from reconciler.kinds.shared.storage_check import VERIFY, check_stored_files, sample_size
from reconciler.kinds.shared.transfer import TRANSFER, Transfer

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import FileFacts

EXPOSURE_GROUPS = ("exposure", "obs_id")
DETECTOR_GROUPS = ("detector", "full_name")
MOST_RIVALS = 20
"""Files with the name of another one that are ingested one by one."""
MOST_CHECKED = 1_000
"""Files of which it is checked after the ingest that none was passed over."""
FILES_PER_COMMAND = 500
"""Files that one command names: some 60 kB, where Linux allows 2 MB for the arguments of a command."""
INGESTED_BY_BUTLER = r"\.fit[s]?\b"
"""The files that ``butler ingest-raws`` takes from a folder: the default of its ``--regex``."""
RAWS_PER_BATCH = 20_000
"""Raws whose files are checked on storage at once, which bounds the memory."""


class RawSpec(Spec):
    """Raw exposures; the key is the name of their RUN collection."""

    instrument: str = Field(description="Short name of the instrument that took the raws.", examples=["LSSTComCam"])
    locations: tuple[InputPath, ...] = Field(
        min_length=1,
        description="Folders that contain the raws, as URIs or as paths, relative to this file.",
        examples=[["${data}/raw/LSSTComCam"]],
    )
    transfer: Transfer = TRANSFER
    delivered_by: tuple[str, ...] = DELIVERED_BY
    verify: str = VERIFY
    sidecars: int = Field(
        0,
        ge=0,
        description=(
            "Number of non-raw files that Rucio has for each exposure, such as `_index.json`. --quick needs it: with the wrong "
            "number, Rucio's counts never agree with those of the raws, so that all are listed."
        ),
        examples=[1],
    )
    files: str = Field(
        r"\.fits?(\.fz|\.gz)?$", description="Regular expression that the names of raws match.", examples=[r"_R\d\d_S\d\d\.fits$"]
    )
    data_id: str | None = Field(
        None,
        description=(
            "Regular expression that finds the data ID in the path of a raw, with a group for the exposure, `exposure` (its "
            "number) or `obs_id`, and one for the detector, `detector` (its number) or `full_name`. Without it, files are "
            "compared by URI, which needs `transfer` to be `direct`."
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
        Whether these are all raws of the table, so that the command names ``locations``; otherwise it names the files, or their
        folders if they are more than `MAX_FILES_IN_COMMAND`.
    """

    verb: Literal["ingest"] = "ingest"
    files: tuple[str, ...]
    locations: tuple[str, ...]
    transfer: Transfer
    run: str | None = None
    whole: bool = False


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
        if spec.transfer != "direct" and spec.data_id is None:
            text = "puts the raws at other paths, so that they can't be compared by path"
            yield f'transfer = "{spec.transfer}" {text}; set data_id, or use transfer = "direct"'

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
            whole=not members.present and not members.awaited and not _is_blocked(change.observed),
            reason=f"{count:,} not ingested",
            cost=Cost(count, sum(member["bytes"] for member in members.missing)),
        )

    def apply(self, context: Context, action: IngestRaws) -> Made:
        total, done = len(action.files), 0
        first, rivals = _separate_rivals(action.files)
        context.report_progress("raws", done, total)
        try:
            for files in [first, *([path] for path in rivals)]:
                chunks = context.split_into_chunks(files)
                commands = [_ingest_raws(action, context.butler.uri, chunk) for chunk in chunks]
                for _ in context.run_butler(commands, runs=[action.address.name]):
                    done = min(done + len(chunks[0]), total)
                    context.report_progress("raws", done, total)
        except WorkerDied:
            raise  # it is tried again
        except ApplyError as error:
            hints = _describe_alike(_find_alike(context, action))
            raise ApplyError(str(error), (*hints, *error.hints)) from error
        context.butler.analyze(total)
        if rivals or total <= MOST_CHECKED:
            self._check_alike(context, action)
        return {"raws": total}

    def _check_alike(self, context: Context, action: IngestRaws) -> None:
        """Check that no file was passed over because another one of the same raw was ingested.

        Raises
        ------
        reconciler.errors.ApplyError
            If so.
        """
        context.forget("butler")
        alike = _find_alike(context, action)
        lost = [path for group, ingested in alike for path in group if path not in ingested and ingested]
        if lost:
            raise ApplyError(f"not ingested, though no error was reported: {', '.join(lost[:5])}", _describe_alike(alike))

    def commands(self, action: IngestRaws) -> Iterable[Command]:
        if action.whole and _folders_hold_nothing_else(action):
            yield Command("butler", *_ingest_raws(action, REPO, action.locations))
            return
        for start in range(0, len(action.files), FILES_PER_COMMAND):
            yield Command("butler", *_ingest_raws(action, REPO, action.files[start : start + FILES_PER_COMMAND]))

    def list_deliveries(self, context: Context, name: str, spec: RawSpec) -> Deliveries:
        """Return the raws that are in Rucio, in the Butler, or in both."""
        registered = RegisteredFiles.query(context, spec.delivered_by)
        names = re.compile(spec.files)
        files = {_locate(spec, file.name): (file, did) for file, did in registered.files.values() if names.search(file.name)}
        if spec.data_id is None:
            raws = _pair_by_path(context, name, files)
        else:
            raws = _pair_by_data_id(context, name, spec, _DataIdPattern.compile(spec.data_id), files)
        return Deliveries(
            tuple(raws), registered.datasets, registered.unregistered, functools.partial(_find_refs, context, name), by_night=True
        )

    def describe(self, member: JsonObject) -> MemberText:
        if {"exposure", "detector"} <= member.keys() and "existing_path" not in member:
            return describe_exposure_member(member)
        return super().describe(member)


def _separate_rivals(files: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files to ingest together, and those that may be second files of the same raws, because they have the same name.

    The latter are ingested one by one at the end, so that a failure of theirs keeps no other raw out. Where many names are
    alike, a name doesn't identify a raw, and nothing is set apart.
    """
    first: dict[str, str] = {}
    rivals = []
    for path in files:
        if first.setdefault(posixpath.basename(path), path) != path:
            rivals.append(path)
    return (list(first.values()), rivals) if len(rivals) <= MOST_RIVALS else (list(files), [])


def _find_alike(context: Context, action: IngestRaws) -> list[tuple[list[str], set[str]]]:
    """Find files of an action with the same name as another one, or as an ingested one; with those of them that are ingested."""
    by_name: dict[str, set[str]] = defaultdict(set)
    for path in action.files:
        by_name[posixpath.basename(path)].add(path)
    ingested: dict[str, set[str]] = defaultdict(set)
    for path in context.butler.paths(context.butler.refs("raw", [action.address.name])).values():
        ingested[posixpath.basename(path)].add(path)
    groups = ((paths | ingested[name], ingested[name]) for name, paths in by_name.items())
    return [(sorted(group), those) for group, those in groups if len(group) > 1]


def _describe_alike(alike: Sequence[tuple[list[str], set[str]]]) -> tuple[str, ...]:
    """Return what an operator must know of the files that may be one raw; nothing if names don't identify raws."""
    if not alike or len(alike) > MOST_RIVALS:
        return ()
    more = f", and {len(alike) - 1:,} more such groups" if len(alike) > 1 else ""
    return (
        f"these files have the same name and may be one raw: {', '.join(alike[0][0])}{more}",
        "remove all but one, exclude them with the key files, or set data_id, which recognizes them",
    )


def _is_blocked(observed: Observed[RawSpec]) -> bool:
    """Return True if the locations contain files that can't be ingested."""
    return any(condition.kind is DifferenceKind.BLOCKED for condition in observed.conditions)


def _folders_hold_nothing_else(action: IngestRaws) -> bool:
    """Check on storage that ``butler ingest-raws`` of the folders would ingest no file but those of the action."""
    from reconciler.systems import storage

    try:
        found = storage.find(action.locations, INGESTED_BY_BUTLER)
    except ObserveError:
        return False
    return {storage.normalize_uri(path) for path in action.files}.issuperset(found)


def _ingest_raws(action: IngestRaws, repository: str, places: Sequence[str]) -> list[str]:
    run = ["--output-run", action.run] if action.run else []
    return ["ingest-raws", "--fail-fast", "--transfer", action.transfer, *run, repository, *places]


def _observe_raws(context: Context, name: str, spec: RawSpec) -> Observed[RawSpec]:
    files = _list_files_in_rucio(context, spec) if spec.delivered_by else _list_files_on_storage(context, spec)
    members, mismatches = _compare_with_files(context, name, spec, files)
    members, waiting = split_delivered(context, spec.delivered_by, members)
    exists = name in context.butler.collections() or not members.desired
    return Observed(spec if exists else None, (members,), (*files.conditions, *mismatches, *waiting))


@dataclass(frozen=True)
class _Files:
    """The files that exist of the raws of a table, which are listed only if that is needed.

    ``count`` is the number of all files, ``parts`` are what they consist of, ``locate`` returns the path of a file of a part,
    ``sizes`` lists the raws by path, and ``conditions`` report what matches nothing.
    """

    count: int
    parts: Mapping[str, FilePart]
    locate: Callable[[str], str]
    sizes: Callable[[], Mapping[str, int]]
    conditions: tuple[Condition, ...] = ()


def _list_files_on_storage(context: Context, spec: RawSpec) -> _Files:
    """List the files in the table's folders."""
    found: dict[str, int] = {}
    empty = []
    for location in spec.locations:
        paths = context.find_files([location], spec.files)
        found |= dict.fromkeys(paths, 0)
        if not paths:
            empty.append(location)
    text = f"no file in {', '.join(empty)} matches {spec.files}"
    conditions = (Condition(DifferenceKind.DEGRADED, text, field="locations"),) if empty else ()
    return _Files(len(found), {"files": FilePart(digest_files(found), lambda: found)}, str, lambda: found, conditions)


def _list_files_in_rucio(context: Context, spec: RawSpec) -> _Files:
    """Describe the files in the Rucio datasets of a table; those of open datasets are listed, as they may change unnoticed."""
    facts, unregistered = find_datasets(context, spec.delivered_by)
    text = f"waiting for {', '.join(unregistered)}, not registered in Rucio yet"
    conditions = (Condition(DifferenceKind.WAITING, text, field="delivered_by"),) if unregistered else ()
    closed = {did: found for did, found in facts.items() if found.length is not None and not found.is_open}
    in_open_datasets = context.rucio.files(did for did in facts if did not in closed)  # one list for all of them
    names = re.compile(spec.files)

    def list_raws(did: str) -> dict[str, int]:
        return {file.name: file.size for file in context.rucio.files([did]) if names.search(file.name)}

    parts = {}
    for did, found in facts.items():
        digest = f"{found.length} {found.bytes} {found.updated_at}" if did in closed else digest_files(list_raws(did))
        parts[did] = FilePart(digest, functools.partial(list_raws, did))
    count = sum(found.length or 0 for found in closed.values()) + len(in_open_datasets)
    return _Files(count, parts, functools.partial(_locate, spec), lambda: _find_sizes(context, spec, list(facts)), conditions)


def _compare_with_files(context: Context, name: str, spec: RawSpec, files: _Files) -> tuple[Members, Sequence[Condition]]:
    """Compare what is ingested with the files that exist: by a proof, by counts if that is enough, or by member."""
    if context.policy.compares_by_count(files.count) and _counts_agree(context, name, spec, files):
        return Members.counted("raws", context.butler.count("raw", [name])), ()
    address = str(Address("raw", name))
    inputs = {part: content.digest for part, content in files.parts.items()}
    datasets = ProvenDatasets.prepare(context, address, digest_spec(spec), inputs, "raw", [name])
    count = context.butler.count("raw", [name])
    if datasets.hold(count):
        return Members.proven("raws", count), ()
    conditions: Sequence[Condition] = ()
    members = _compare_growth(context, name, spec, files, datasets, count)
    if members is None:
        members, conditions = _compare(context, name, spec, files)
    if members.agree and not conditions and not files.conditions:
        datasets.record(members.desired, members.present)
    return members, conditions


def _compare_growth(
    context: Context, name: str, spec: RawSpec, files: _Files, datasets: ProvenDatasets, count: int
) -> Members | None:
    """Compare what came since an earlier proof; None if there is none, or more has changed."""
    if spec.data_id is None:
        return None
    growth = datasets.find_growth(count)
    if growth is None:
        return None
    pattern = _DataIdPattern.compile(spec.data_id)
    return GrownRaws(context, name, spec.instrument, pattern, files.locate).compare(growth, files.parts, count)


def _counts_agree(context: Context, name: str, spec: RawSpec, files: _Files) -> bool:
    """Return True if there are as many raws as files, without those that Rucio has in addition for each exposure."""
    raws = context.butler.count("raw", [name])
    if spec.delivered_by:
        exposures = context.butler.count_records("exposure", instrument=spec.instrument) if spec.sidecars else 0
        return raws + spec.sidecars * exposures == files.count
    if spec.data_id is None:
        return raws == files.count
    pattern = _DataIdPattern.compile(spec.data_id)
    ids = [(data_id["exposure"], data_id["detector"]) for path in files.sizes() if (data_id := pattern.parse(path))]
    return raws == len(ids) == len(set(ids))


def _find_sizes(context: Context, spec: RawSpec, dids: Sequence[str]) -> dict[str, int]:
    """Return the size of each raw in some Rucio datasets, by the path that it has here once it is delivered."""
    names = re.compile(spec.files)
    listed = context.rucio.files_by_dataset(dids).values()
    return {_locate(spec, file.name): file.size for files in listed for file in files if names.search(file.name)}


def _locate(spec: RawSpec, name: str) -> str:
    """Return the path here of a file in Rucio: below the location whose end its name repeats, which gives the shortest path."""
    folder, slash, base = name.rpartition("/")
    return _locate_folder(tuple(spec.locations), folder + slash) + base


@functools.lru_cache(maxsize=10_000)
def _locate_folder(locations: tuple[str, ...], folder: str) -> str:
    """Return where the files of a folder in Rucio are here; both end with a slash, or are empty."""
    return min((local_path(location, f"{folder}x") for location in locations), key=len)[:-1]


def _compare(context: Context, name: str, spec: RawSpec, files: _Files) -> tuple[Members, Sequence[Condition]]:
    """Compare raws by member with what is ingested."""
    sizes = files.sizes()
    if spec.data_id is None:
        return _compare_by_path(context, name, spec, sizes), ()
    pattern = _DataIdPattern.compile(spec.data_id)
    if not context.policy.compares_records(len(sizes)) and _agree(context, name, spec, pattern, sizes):
        return Members("raws", len(sizes), len(sizes)), ()
    found: dict[Hashable, list[JsonObject]] = defaultdict(list)
    mismatches = []
    for path, size in sizes.items():
        if data_id := pattern.parse(path):
            found[data_id["exposure"], data_id["detector"]].append({**data_id, "path": path, "bytes": size})
        else:
            mismatches.append(path)
    rivals = {key: files for key, files in found.items() if len(files) > 1}
    desired: dict[Hashable, JsonObject] = {key: files[0] for key, files in found.items()}
    present, changed = _list_present(context, name, spec, pattern, {key: m for key, m in desired.items() if key not in rivals})
    desired = {key: member for key, member in desired.items() if key not in rivals or key in present}
    unmanaged = [pattern.to_member(*key) for key in sorted(present - desired.keys(), key=str)] if desired else []
    members = Members.compare("raws", desired, present, unmanaged=unmanaged, changed=changed)
    conditions = []
    if rivals:
        paths = tuple({"path": member["path"]} for copies in rivals.values() for member in copies)
        raws = f"{len(rivals):,} {'raw' if len(rivals) == 1 else 'raws'}"
        text = f"{len(paths):,} files for {raws}; only one can be ingested: remove the others, or exclude them with the key files"
        conditions.append(Condition(DifferenceKind.BLOCKED, text, paths, "locations"))
    if mismatches:
        text = f"{len(mismatches):,} of {len(sizes):,} files don't match data_id"
        paths = tuple({"path": path} for path in mismatches)
        conditions.append(Condition(DifferenceKind.DEGRADED, text, paths, "data_id"))
    return members, conditions


def _agree(context: Context, name: str, spec: RawSpec, pattern: _DataIdPattern, paths: Collection[str]) -> bool:
    """Return True if each file is one ingested raw and each raw one file; quicker than to find out which are not."""
    keys = pattern.find_keys(paths)
    if len(keys) < len(paths):
        return False
    rows = context.butler.data_ids("raw", [name], ["instrument", "exposure", "detector"])
    if len(rows) != len(keys):
        return False
    obs_ids, full_names = pattern.read_names(context, spec.instrument)
    return keys == {
        (obs_ids.get(exposure, exposure), full_names.get(detector, detector))
        for instrument, exposure, detector in rows
        if instrument == spec.instrument
    }


def _list_present(
    context: Context, name: str, spec: RawSpec, pattern: _DataIdPattern, desired: Mapping[Hashable, JsonObject]
) -> tuple[Set[tuple[Any, ...]], list[JsonObject]]:
    """Return the data IDs of ingested raws as the pattern has them, and the members whose records in the datastore are wrong."""
    if not context.policy.compares_records(len(desired)):
        rows = context.butler.data_ids("raw", [name], ["instrument", "exposure", "detector"])
        return set(pattern.convert(context, spec.instrument, rows).values()), []
    refs = context.butler.refs("raw", [name])
    by_number = {(ref.dataId["instrument"], ref.dataId["exposure"], ref.dataId["detector"]): ref for ref in refs}
    keys = pattern.convert(context, spec.instrument, by_number)
    by_key: dict[Hashable, DatasetRef] = {keys[number]: ref for number, ref in by_number.items()}
    return set(keys.values()), list(find_wrong_records(context, by_key, desired))


def _compare_by_path(context: Context, name: str, spec: RawSpec, sizes: Mapping[str, int]) -> Members:
    """Compare raws by the path of their file, which is all that is known without a pattern for the data ID."""
    desired: dict[Hashable, JsonObject] = {path: {"path": path, "bytes": size} for path, size in sizes.items()}
    refs = context.butler.refs("raw", [name])
    paths = context.butler.paths(refs)
    unknown = [{**ref.dataId.required, "existing_path": NO_RECORD} for ref in refs if str(ref.id) not in paths]
    present = set(paths.values())
    unmanaged = [{"path": path} for path in sorted(present - desired.keys())] if desired else []
    return Members.compare("raws", desired, present, unmanaged=unmanaged, changed=unknown)


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

    def find_keys(self, paths: Iterable[str]) -> set[tuple[Any, ...]]:
        """Return exposure and detector of each path; fewer than there are paths if some don't match, or are of the same raw."""
        groups = ("obs_id" if self.by_obs_id else "exposure", "full_name" if self.by_full_name else "detector")
        matches = map(self.pattern.search, paths)
        keys: set[tuple[Any, ...]] = {key for match in matches if match and None not in (key := match.group(*groups))}
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

    def to_member(self, exposure: Any, detector: Any) -> JsonObject:
        """Return exposure, detector and night of a raw."""
        member = {"exposure": exposure, "detector": detector}
        if night := _find_night(str(exposure)):
            member["day_obs"] = night
        return member


def _find_night(text: str) -> int:
    """Return the night in the name or number of an exposure, or in a path; `NO_NIGHT` if there is none."""
    found = re.search(r"(?<!\d)(20\d{6})(?!\d)", text) or re.match(r"(20\d{6})\d{5}$", text)
    return int(found[1]) if found else NO_NIGHT


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
    yield from _list_raws(context, name, exposures, size)


def _list_raws(context: Context, name: str, exposures: Sequence[tuple[Any, ...]], size: int) -> Iterator[list[DatasetRef]]:
    """Yield the raws of some exposures, each an instrument and a number, in batches of ``size`` exposures."""
    for start in range(0, len(exposures), size):
        numbers: dict[str, list[int]] = defaultdict(list)
        for instrument, exposure in exposures[start : start + size]:
            numbers[instrument].append(exposure)
        yield [
            ref
            for instrument, chosen in numbers.items()
            for ref in context.butler.refs_in("raw", [name], "exposure", chosen, instrument)
        ]


def _pair_by_data_id(
    context: Context, name: str, spec: RawSpec, pattern: _DataIdPattern, files: Mapping[str, tuple[FileFacts, str]]
) -> Iterator[DeliveredFile]:
    """Yield each raw with its file in Rucio and its data ID in the Butler."""
    rows = context.butler.data_ids("raw", [name], ["instrument", "exposure", "detector"])
    numbers: dict[Any, tuple[Any, ...]] = {key: row for row, key in pattern.convert(context, spec.instrument, rows).items()}
    found_in_rucio: dict[Hashable, list[tuple[FileFacts, str]]] = defaultdict(list)
    unusable: list[tuple[FileFacts, str]] = []
    for path, found in sorted(files.items()):
        if data_id := pattern.parse(path):
            found_in_rucio[data_id["exposure"], data_id["detector"]].append(found)
        else:
            unusable.append(found)
    registered: dict[Hashable, tuple[FileFacts, str]] = {}
    for key, rivals in found_in_rucio.items():
        if len(rivals) == 1 or key in numbers:
            registered[key] = rivals.pop(0)
        unusable += rivals
    for file, did in unusable:
        yield DeliveredFile(file.name, _find_night(file.name), dataset=did, file=file, recognized=False)
    records = context.butler.records("detector", instrument=spec.instrument) if pattern.by_full_name else ()
    detectors = {record.full_name: record.id for record in records}
    none: tuple[FileFacts | None, str] = (None, "")
    for key in dict.fromkeys([*registered, *numbers]):
        exposure, detector = key
        its, did = registered.get(key, none)
        yield DeliveredFile(
            str(exposure),
            _find_night(str(exposure)),
            detector if isinstance(detector, int) else detectors.get(detector, NO_DETECTOR),
            did,
            its,
            key in numbers,
            numbers.get(key),
        )


def _pair_by_path(context: Context, name: str, files: Mapping[str, tuple[FileFacts, str]]) -> Iterator[DeliveredFile]:
    """Yield each raw with its file in Rucio and its path in the Butler; only the Butler knows the detector then."""
    refs = context.butler.refs("raw", [name])
    paths = context.butler.paths(refs)
    seen = set()
    for ref in refs:
        path = paths.get(str(ref.id), "")
        file, did = files.get(path, (None, ""))
        seen.add(path)
        exposure, detector = ref.dataId["exposure"], ref.dataId["detector"]
        key = (ref.dataId["instrument"], exposure, detector)
        yield DeliveredFile(str(exposure), _find_night(str(exposure)), detector, did, file, True, key)
    for path, (its, did) in files.items():
        if path not in seen:
            yield DeliveredFile(its.name, _find_night(path), dataset=did, file=its)


def _find_refs(context: Context, name: str, keys: Collection[Hashable]) -> RefBatches:
    """Yield raws by instrument, exposure and detector, in batches of some exposures."""
    chosen: Collection[Any] = set(keys)
    exposures = sorted({(instrument, exposure) for instrument, exposure, _ in chosen})
    size = max(RAWS_PER_BATCH * len(exposures) // max(len(chosen), 1), 1)
    for refs in _list_raws(context, name, exposures, size):
        by_number = {(ref.dataId["instrument"], ref.dataId["exposure"], ref.dataId["detector"]): ref for ref in refs}
        yield [(key, ref) for key, ref in by_number.items() if key in chosen]


KIND = RawKind()
