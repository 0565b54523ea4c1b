"""Expectations: how many datasets there must be. They are only checked.

If there are too few datasets of a type with exposures and detectors, the report lists the detectors that exposures lack, unless
these don't explain all that is missing, or the table has ``nights`` or ``distinct``.
"""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.counts import plural
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import Action, Change, Condition, DifferenceKind, JsonObject, Observed
from reconciler.engine.spec import Spec
from reconciler.kinds.shared.dids import DidPattern
from reconciler.kinds.shared.exposure_members import describe_exposure_member
from reconciler.kinds.shared.names import check_expressions, explain_unknown_type, is_coming
from reconciler.kinds.shared.nightly_counts import check_dimensions, count_by_night, count_files_by_night
from reconciler.kinds.shared.nights import Nights, resolve_nights
from reconciler.patterns import Glob

if TYPE_CHECKING:
    from reconciler.systems.context import Context

MOST_NAMED = 3
"""Nights that a text names; the members are all of them."""


class ExpectSpec(Spec):
    """An expected number of datasets; the key is a name of your choice."""

    dataset_type: str = Field(description="Dataset type to count.", examples=["raw"])
    collections: tuple[str, ...] = Field(
        min_length=1,
        description="Collections to count in; chains are searched, and names may contain wildcards.",
        examples=[["LSSTComCam/raw/all"]],
    )
    where: str = Field(
        "",
        description="Butler query expression that selects the datasets to count.",
        examples=["exposure.observation_type = 'science'"],
    )
    count: int | None = Field(None, ge=0, description="Exact number of datasets; not together with did.", examples=[148845])
    min: int | None = Field(None, ge=0, description="Minimum number of datasets.", examples=[16128])
    max: int | None = Field(None, ge=0, description="Maximum number of datasets.", examples=[16200])
    did: DidPattern | None = Field(
        None,
        description="Rucio dataset, scope:name with wildcards; there must be as many Butler datasets as there are files in it, "
        "or in all that match.",
        examples=["raw:Dataset/LSSTComCam/raw/*"],
    )
    nights: str | None = Field(
        None,
        description=(
            "Check these nights one by one: `last 30`, `20250415..20250514`, `20250415..` or `20250415`. The files of did belong "
            "to the night that is a folder in their names."
        ),
        examples=["last 30"],
    )
    instrument: str | None = Field(None, description="Short name of the instrument whose nights these are.", examples=["LSSTCam"])
    distinct: str | None = Field(
        None, description="Count the different values of this dimension in place of the datasets.", examples=["exposure"]
    )
    files: str = Field("*", description="Which files of did to count, as a pattern of file names.", examples=["*.fits"])


class ExpectKind(Kind[ExpectSpec, Action]):
    """The kind of ``expect`` tables.

    The collections have to exist or be provided by a table; the Rucio dataset of ``did`` doesn't, and no table comes before it.
    """

    name = "expect"
    spec = ExpectSpec
    traits = KindTraits(summary="Expected numbers of datasets.", order=90, depends_on_content=True)

    def links(self, name: str, spec: ExpectSpec) -> Links:
        return Links(needs=[Glob(f"collection:{collection}") for collection in spec.collections])

    def requirements(self, spec: ExpectSpec) -> Requirements:
        return Requirements(systems=frozenset({"butler", "rucio"}) if spec.did else frozenset({"butler"}))

    def validate(self, name: str, spec: ExpectSpec) -> Iterable[str]:
        if spec.count is None and spec.min is None and spec.max is None and spec.did is None:
            yield 'needs "count", "min", "max" or "did"'
        if spec.count is not None and spec.did is not None:
            yield 'has both "count" and "did"; set only one of them'
        if (spec.nights is None) != (spec.instrument is None):
            yield "needs both nights and instrument, or neither"
        if spec.nights is not None:
            try:
                resolve_nights(spec.nights)
            except ValueError as error:
                yield f"nights: {error}"
        if spec.min is not None and spec.max is not None and spec.min > spec.max:
            yield f"min: {spec.min} is greater than max, {spec.max}"
        if spec.count is not None and spec.min is not None and spec.count < spec.min:
            yield f"count: {spec.count} is less than min, {spec.min}"
        if spec.count is not None and spec.max is not None and spec.count > spec.max:
            yield f"count: {spec.count} is greater than max, {spec.max}"

    def observe(self, context: Context, desired: Mapping[str, ExpectSpec]) -> Mapping[str, Observed[ExpectSpec]]:
        check_expressions(context, desired)
        return {name: _observe_expectation(context, spec) for name, spec in desired.items()}

    def plan(self, change: Change[ExpectSpec]) -> Iterable[Action]:
        return ()

    def apply(self, context: Context, action: Action) -> None:
        return None

    def describe(self, member: JsonObject) -> MemberText:
        if "problem" in member:
            return MemberText(f"{member['day_obs']}  {member['problem']}")
        if "exposure" in member and "detector" in member:
            return describe_exposure_member(member)
        return super().describe(member)


def _observe_expectation(context: Context, spec: ExpectSpec) -> Observed[ExpectSpec]:
    if spec.nights is not None and spec.instrument is not None:
        return _observe_nights(context, spec, spec.instrument, resolve_nights(spec.nights))
    if spec.distinct is not None:
        check_dimensions(context, spec.dataset_type, [spec.distinct])
        count = len(context.butler.data_ids(spec.dataset_type, spec.collections, [spec.distinct], spec.where))
    else:
        count = context.butler.count(spec.dataset_type, spec.collections, spec.where)
    expected = spec.count if spec.did is None else _count_files(context, spec.did, spec.files)
    unknown = explain_unknown_type(context, spec.dataset_type)
    text = ": ".join(filter(None, (_explain_failure(spec, count, expected), unknown)))
    found = (f"{_count(spec, count)}, {_describe_expected(spec, expected)}",)
    if not text:
        return Observed(spec, facts=found)
    shortfall = (expected if expected is not None else spec.min or 0) - count
    members = tuple(_find_missing_datasets(context, spec)) if shortfall > 0 and not spec.distinct else ()
    if len(members) != shortfall:
        members = ()  # some of these exposures never had all detectors
    mistaken = unknown and not is_coming(context, spec.dataset_type)  # no delivery makes up for that
    failure = Condition(DifferenceKind.FAILED, text, members, "count", lacking=0 if mistaken else max(shortfall, 0))
    return Observed(spec, conditions=(failure,), facts=found)


def _observe_nights(context: Context, spec: ExpectSpec, instrument: str, nights: Nights) -> Observed[ExpectSpec]:
    """Check the number of datasets of each night that has any, or for which Rucio has files."""
    counts = count_by_night(context, spec.dataset_type, spec.collections, instrument, nights, spec.where, spec.distinct)
    files = None if spec.did is None else count_files_by_night(context, spec.did, spec.files, nights)
    wrong, lacking = [], []
    for night in sorted(counts.keys() | (files or {}).keys()):
        expected = spec.count if files is None else files[night]
        if problem := _explain_failure(spec, counts[night], expected):
            wrong.append({"day_obs": night, "problem": problem})
            lacking.append((expected if expected is not None else spec.min or 0) - counts[night])
    checked = len(counts.keys() | (files or {}).keys())
    facts = (f"{plural(checked, 'night')} from {nights}, {sum(counts.values()):,} {_name_counted(spec)}",)
    unknown = explain_unknown_type(context, spec.dataset_type)
    mistaken = unknown and not is_coming(context, spec.dataset_type)  # no delivery makes up for that
    if not checked and (reason := unknown or _explain_emptiness(context, spec)):
        text = f"no night from {nights} has any {_name_counted(spec)}: {reason}"
        failure = Condition(DifferenceKind.FAILED, text, field="count", lacking=0 if mistaken else 1)  # one night at least
        return Observed(spec, conditions=(failure,), facts=facts)
    if not wrong and not unknown:
        return Observed(spec, facts=facts)
    named = [f"{night['day_obs']} has {night['problem']}" for night in wrong[:MOST_NAMED]]
    more = f", and {len(wrong) - MOST_NAMED:,} more" if len(wrong) > MOST_NAMED else ""
    differ = "differs" if checked == 1 else "differ"
    text = f"{len(wrong):,} of {plural(checked, 'night')} {differ}: {unknown or '; '.join(named) + more}"
    # Too much in one night isn't made up for by another.
    total = sum(lacking) if min(lacking, default=0) > 0 and not mistaken else 0
    return Observed(spec, conditions=(Condition(DifferenceKind.FAILED, text, tuple(wrong), "count", lacking=total),), facts=facts)


def _explain_emptiness(context: Context, spec: ExpectSpec) -> str:
    """Return why an expectation fails if there is no night at all; nothing if that may be."""
    if spec.did is not None:
        return "" if context.rucio.matching(spec.did) else f"Rucio has no dataset {spec.did}"
    return _explain_failure(spec, 0, spec.count)


def _name_counted(spec: ExpectSpec) -> str:
    return f"{spec.distinct}s" if spec.distinct else "datasets"


def _describe_expected(spec: ExpectSpec, expected: int | None) -> str:
    limits = [f"at least {spec.min:,}" if spec.min is not None else "", f"at most {spec.max:,}" if spec.max is not None else ""]
    return " and ".join(filter(None, [f"{expected:,}" if expected is not None else "", *limits])) + " expected"


def _count_files(context: Context, did: str, pattern: str) -> int:
    """Count the files of Rucio datasets whose names match a pattern."""
    files = context.rucio.files(context.rucio.matching(did))
    return sum(fnmatch.fnmatchcase(file.name, pattern) for file in files)


def _count(spec: ExpectSpec, count: int) -> str:
    return plural(count, spec.distinct or "dataset")


def _explain_failure(spec: ExpectSpec, count: int, expected: int | None) -> str:
    """Return why an expectation fails; nothing if it holds."""
    if expected is not None and count != expected:
        return f"{_count(spec, count)}, {expected:,} expected"
    if spec.min is not None and count < spec.min:
        return f"{_count(spec, count)}, at least {spec.min:,} expected"
    if spec.max is not None and count > spec.max:
        return f"{_count(spec, count)}, at most {spec.max:,} expected"
    return ""


def _find_missing_datasets(context: Context, spec: ExpectSpec) -> Iterable[JsonObject]:
    """Find the exposures without datasets of some detectors, for a dataset type that has both."""
    dataset_type = context.butler.dataset_types().get(spec.dataset_type)
    if dataset_type is None or not {"exposure", "detector"} <= set(dataset_type.dimensions):
        return
    for instrument in sorted({record.instrument for record in context.butler.records("detector")}):
        yield from _find_missing_detectors(context, spec, instrument)


def _find_missing_detectors(context: Context, spec: ExpectSpec, instrument: str) -> Iterable[JsonObject]:
    """Find them for one instrument."""
    butler = context.butler
    detectors = {record.id for record in butler.records("detector", instrument=instrument)}
    present: dict[int, set[int]] = defaultdict(set)
    rows = butler.data_ids(spec.dataset_type, spec.collections, ["instrument", "exposure", "detector"], spec.where)
    for its_instrument, exposure, detector in rows:
        if its_instrument == instrument:
            present[exposure].add(detector)
    missing = {exposure: detectors - found for exposure, found in sorted(present.items()) if detectors - found}
    night_of = {record.id: record.day_obs for record in butler.records("exposure", instrument=instrument)} if missing else {}
    for exposure, lacking in missing.items():
        for detector in sorted(lacking):
            yield {"exposure": exposure, "detector": detector, "day_obs": night_of[exposure]}


KIND = ExpectKind()
