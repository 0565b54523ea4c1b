"""Compare the raws that are ingested with the files that exist: by a proof, by counts, or by member."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from reconciler.counts import plural
from reconciler.engine.model import Address, Condition, DifferenceKind, JsonObject, Members
from reconciler.kinds.raw.data_id_pattern import DataIdPattern
from reconciler.kinds.raw.files import RawFiles
from reconciler.kinds.raw.spec import RawSpec
from reconciler.kinds.shared.datastore_records import NO_RECORD, find_wrong_records
from reconciler.kinds.shared.grown_raws import GrownRaws
from reconciler.kinds.shared.proven_datasets import Growth, ProvenDatasets, digest_spec
from reconciler.systems.butler.queries import of_instrument, with_values

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context

MOST_LISTED = 200
"""Up to so many exposures that lack files of some detectors, only their raws are listed; if there are more, all raws are."""


def compare_with_files(context: Context, name: str, spec: RawSpec, files: RawFiles) -> tuple[Members, Sequence[Condition]]:
    """Compare what is ingested with the files that exist: by a proof, by counts if that is enough, or by member.

    Where all were listed and agree, a proof of that is recorded.

    Raises
    ------
    reconciler.errors.ObserveError
        If a system can't be queried.
    reconciler.errors.StateError
        If ``data_id`` finds something in a path that is no number where it has to be.
    """
    if context.policy.compares_by_count(files.count) and _counts_agree(context, name, spec, files):
        return Members.counted("raws", context.butler.count("raw", [name])), ()
    address = str(Address("raw", name))
    inputs = {part: content.digest for part, content in files.parts.items()}
    # What locations_file lists decides, not its name.
    listed = spec.model_copy(update={"locations": spec.list_locations()}) if spec.locations_file is not None else spec
    datasets = ProvenDatasets.prepare(context, address, digest_spec(listed), inputs, "raw", [name])
    count = context.butler.count("raw", [name])
    if proof := datasets.find_proof(count):
        return Members.proven("raws", count, proof.listed), ()
    conditions: Sequence[Condition] = ()
    growth: Growth | None = None
    if grown := _compare_growth(context, name, spec, files, datasets, count):
        members, growth = grown
    else:
        members, conditions = _compare(context, name, spec, files)
        if files.count and not files.sizes():
            conditions = (*conditions, _report_no_raws(spec))
        elif count and spec.delivered_by and files.parts and not files.count:
            text = (
                f"{', '.join(spec.delivered_by)} has no file, and {plural(count, 'raw')} {'is' if count == 1 else 'are'} ingested"
            )
            conditions = (*conditions, Condition(DifferenceKind.DEGRADED, text, field="delivered_by"))
    # Ingested raws that the table excludes are in the number, by which a proof would miss as many lost ones.
    if members.agree and members.present == count and not conditions and not files.conditions:
        datasets.record(members.desired, members.present, growth)
    return members, conditions


def _report_no_raws(spec: RawSpec) -> Condition:
    """Report that Rucio has files and none of them is a raw of the table, which may be a mistake in its patterns."""
    besides = " and is not excluded" if spec.exclude else ""
    text = f"no file in {', '.join(spec.delivered_by)} matches {spec.files}{besides}"
    return Condition(DifferenceKind.DEGRADED, text, field="exclude" if spec.exclude else "files")


def _compare_growth(
    context: Context, name: str, spec: RawSpec, files: RawFiles, datasets: ProvenDatasets, count: int
) -> tuple[Members, Growth] | None:
    """Compare what came since an earlier proof, and return that, too; None if there is no proof, or more has changed."""
    if spec.data_id is None:
        return None
    growth = datasets.find_growth(count)
    if growth is None:
        return None
    pattern = DataIdPattern.compile(spec.data_id)
    members = GrownRaws(context, name, spec.instrument, pattern, files.locate).compare(growth, files.parts, count)
    return None if members is None else (members, growth)


def _counts_agree(context: Context, name: str, spec: RawSpec, files: RawFiles) -> bool:
    """Return True if there are as many raws as files, without those that Rucio has in addition for each exposure."""
    raws = context.butler.count("raw", [name])
    if spec.delivered_by:
        exposures = context.butler.count_records("exposure", instrument=spec.instrument) if spec.sidecars else 0
        return raws + spec.sidecars * exposures == files.count
    if spec.data_id is None:
        return raws == files.count
    pattern = DataIdPattern.compile(spec.data_id)
    ids = [(data_id["exposure"], data_id["detector"]) for path in files.sizes() if (data_id := pattern.parse(path))]
    return raws == len(ids) == len(set(ids))


def _compare(context: Context, name: str, spec: RawSpec, files: RawFiles) -> tuple[Members, Sequence[Condition]]:
    """Compare raws by member with what is ingested."""
    if spec.data_id is None:
        return _compare_by_path(context, name, files.sizes(), files.excluded()), ()
    pattern = DataIdPattern.compile(spec.data_id)
    with ThreadPoolExecutor(1) as pool:  # while Rucio lists many files, the Butler counts the raws and names the exposures
        listing = pool.submit(files.sizes)
        if not context.policy.compares_records(files.count):
            _count_raws(context, name, spec)  # first, so that all exposures with raws that are counted have names
            pattern.read_all_names(context, spec.instrument)
    sizes = listing.result()
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
    parsed = map(pattern.parse, files.excluded())
    excluded = {(data_id["exposure"], data_id["detector"]) for data_id in parsed if data_id}
    unmanaged = [pattern.to_member(*key) for key in sorted(present - desired.keys() - excluded, key=str)] if desired else []
    members = Members.compare("raws", desired, present, unmanaged=unmanaged, changed=changed)
    conditions = []
    if rivals:
        paths = tuple({"path": member["path"]} for copies in rivals.values() for member in copies)
        raws = f"{len(rivals):,} {'raw' if len(rivals) == 1 else 'raws'}"
        text = (
            f"{len(paths):,} files for {raws}; only one can be ingested: remove the others, or exclude them with the key exclude"
        )
        conditions.append(Condition(DifferenceKind.BLOCKED, text, paths, "locations"))
    if mismatches:
        text = f"{len(mismatches):,} of {len(sizes):,} files don't match data_id"
        paths = tuple({"path": path} for path in mismatches)
        conditions.append(Condition(DifferenceKind.DEGRADED, text, paths, "data_id"))
    return members, conditions


def _list_data_ids(context: Context, name: str) -> Set[tuple[Any, ...]]:
    """Return instrument, exposure and detector of each ingested raw."""
    return context.butler.data_ids("raw", [name], ["instrument", "exposure", "detector"])


def _list_exposures(context: Context, name: str) -> Set[tuple[Any, ...]]:
    """Return instrument and exposure of the ingested raws, in a third of the time of listing the raws."""
    return context.butler.data_ids("raw", [name], ["instrument", "exposure"])


def _agree(context: Context, name: str, spec: RawSpec, pattern: DataIdPattern, paths: Collection[str]) -> bool:
    """Return True if each file is one ingested raw and each raw one file, without listing the raws.

    A RUN collection contains one raw for each exposure and detector. So if it has as many as there are files, and the raws of
    all exposures without files of some detectors were listed and agree, then the other exposures have all of theirs.
    """
    keys = pattern.find_keys(paths)
    if len(keys) < len(paths) or _count_raws(context, name, spec) != {len(keys)} or not _is_run(context, name):
        return False
    names, detectors = pattern.read_all_names(context, spec.instrument)
    numbers = {exposure: number for number, exposure in names.items()}
    files = Counter(map(itemgetter(0), keys))
    if len(numbers) < len(names) or not files.keys() <= numbers.keys():
        return False
    if not set(map(itemgetter(1), keys)) <= set(detectors.values()):
        return False
    complete = {exposure for exposure, number in files.items() if number == len(detectors)}
    others = numbers.keys() - complete
    if len(others) > MOST_LISTED:  # such as exposures whose raws are in another collection
        others = {names.get(number) for _, number in _list_exposures(context, name)} - complete
        if not others <= numbers.keys():
            return False  # one was ingested while this ran
    if len(others) > MOST_LISTED:
        rows = _list_data_ids(context, name)
        return keys == set(pattern.convert(context, spec.instrument, rows).values())
    where = with_values(spec.instrument, "exposure", sorted(numbers[exposure] for exposure in others))
    dimensions = ["instrument", "exposure", "detector"]
    rows = context.butler.data_ids("raw", [name], dimensions, where) if others else set()
    partial = files.keys() - complete
    return {key for key in keys if key[0] in partial} == set(pattern.convert(context, spec.instrument, rows).values())


def _count_raws(context: Context, name: str, spec: RawSpec) -> set[int]:
    """Return the number of all raws of a collection and that of the instrument's raws, which is one number if they agree."""
    return {context.butler.count("raw", [name]), context.butler.count("raw", [name], of_instrument(spec.instrument))}


def _is_run(context: Context, name: str) -> bool:
    collection = context.butler.collections().get(name)
    return collection is not None and collection.type == "RUN"


def _list_present(
    context: Context, name: str, spec: RawSpec, pattern: DataIdPattern, desired: Mapping[Hashable, JsonObject]
) -> tuple[Set[tuple[Any, ...]], list[JsonObject]]:
    """Return the data IDs of ingested raws as the pattern has them, and the members whose records in the datastore are wrong."""
    if not context.policy.compares_records(len(desired)):
        rows = _list_data_ids(context, name)
        return set(pattern.convert(context, spec.instrument, rows).values()), []
    refs = context.butler.refs("raw", [name])
    by_number = {(ref.dataId["instrument"], ref.dataId["exposure"], ref.dataId["detector"]): ref for ref in refs}
    keys = pattern.convert(context, spec.instrument, by_number)
    by_key: dict[Hashable, DatasetRef] = {keys[number]: ref for number, ref in by_number.items()}
    return set(keys.values()), list(find_wrong_records(context, by_key, desired))


def _compare_by_path(context: Context, name: str, sizes: Mapping[str, int], excluded: Collection[str]) -> Members:
    """Compare raws by the path of their file, which is all that is known without a pattern for the data ID."""
    desired: dict[Hashable, JsonObject] = {path: {"path": path, "bytes": size} for path, size in sizes.items()}
    refs = context.butler.refs("raw", [name])
    paths = context.butler.paths(refs)
    unknown = [{**ref.dataId.required, "existing_path": NO_RECORD} for ref in refs if str(ref.id) not in paths]
    present = set(paths.values())
    unmanaged = [{"path": path} for path in sorted(present - desired.keys() - set(excluded))] if desired else []
    missing = desired.keys() - present
    if 0 < len(missing) <= len(unknown):  # they may be those without a record, whose ingest would be refused each time
        desired = {path: member for path, member in desired.items() if path not in missing}
    return Members.compare("raws", desired, present, unmanaged=unmanaged, changed=unknown)
