"""TAGGED collections: which datasets are in one, by a query, by a list of visits or exposures, or by a list of UUIDs.

Wanted and present members are compared as sets; only the difference is associated. What should not be in it is reported, and
taken out only under --prune.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from reconciler.engine.model import Action, Condition, InputPath, Kind, Members, Missing, Seen, Spec
from reconciler.errors import ObserveError
from reconciler.files import visit_list
from reconciler.files.text import read_text

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef

    from reconciler.systems.context import Live


class TaggedSpec(Spec):
    """A TAGGED collection."""

    dataset_type: str | tuple[str, ...] = Field(description="Dataset types of its members.", examples=["raw"])
    sources: tuple[str, ...] = Field(
        alias="from",
        min_length=1,
        description="Collections that they come from, with wildcards.",
        examples=[["LSSTComCam/raw/all"]],
    )
    where: str = Field("", description="A Butler query expression that they satisfy.", examples=["instrument = 'LSSTComCam'"])
    instrument: str | None = Field(None, description="Whose visits or exposures are listed.", examples=["LSSTComCam"])
    visits: InputPath | None = Field(None, description="A file that lists their visits, one a line.")
    exposures: InputPath | None = Field(None, description="A file that lists their exposures, one a line.")
    ids: InputPath | None = Field(None, description="A file that lists their UUIDs, one a line.")
    doc: str | None = Field(None, description="Documentation of the collection.")

    @property
    def dataset_types(self) -> tuple[str, ...]:
        return (self.dataset_type,) if isinstance(self.dataset_type, str) else self.dataset_type


class TaggedKind(Kind[TaggedSpec]):
    """The kind of ``tagged`` tables."""

    name = "tagged"
    spec = TaggedSpec
    summary = "TAGGED collections with their members."
    rank = 70
    derived = True

    def provides(self, name: str, spec: TaggedSpec) -> Iterable[str]:
        yield f"collection:{name}"

    def needs(self, name: str, spec: TaggedSpec) -> Iterable[str]:
        yield from (f"collection:{source}" for source in spec.sources)
        if spec.instrument:
            yield f"instrument:{spec.instrument}"

    def follows(self, name: str, spec: TaggedSpec) -> Iterable[str]:
        if spec.visits:
            yield f"visits:{spec.instrument}"

    def inputs(self, spec: TaggedSpec) -> Iterable[str]:
        yield from filter(None, (spec.visits, spec.exposures, spec.ids))

    def check(self, name: str, spec: TaggedSpec) -> Iterable[str]:
        lists = [field for field in ("visits", "exposures", "ids") if getattr(spec, field)]
        if len(lists) > 1:
            yield f"{' and '.join(lists)}: name one list"
        if (spec.visits or spec.exposures) and not spec.instrument:
            yield f'{lists[0]}: needs "instrument" too'

    def observe(self, live: Live, desired: Mapping[str, TaggedSpec]) -> Mapping[str, Seen[TaggedSpec]]:
        return {name: self._see(live, name, spec) for name, spec in desired.items()}

    def _see(self, live: Live, name: str, spec: TaggedSpec) -> Seen[TaggedSpec]:
        there = live.butler.collections().get(name)
        conditions: list[Condition] = []
        if there is not None and there.type != "TAGGED":
            return Seen(spec, conditions=(Condition("conflict", f"the name is taken by a {there.type} collection"),))
        count = _count(live, spec) if there is not None else 0
        if there is not None and live.counts(count) and count == sum(live.butler.count(t, [name]) for t in spec.dataset_types):
            members = Members.counted("members", count)
            doc = spec.doc if spec.doc is None else there.doc
            return Seen(spec.model_copy(update={"doc": doc}), (members,))
        refs, notes = wanted(live, spec)
        conditions += notes
        present = {id: ref for t in spec.dataset_types for id, ref in live.butler.members(t, [name]).items()}
        members = Members.compare(
            "members",
            {id: facts_of(ref) for id, ref in refs.items()},
            present,
            extra=[facts_of(ref) for id, ref in present.items() if id not in refs],
        )
        if there is None:
            return Seen[TaggedSpec](None, (members,), tuple(conditions))
        doc = spec.doc if spec.doc is None else there.doc
        return Seen(spec.model_copy(update={"doc": doc}), (members,), tuple(conditions))

    def plan(self, missing: Missing[TaggedSpec]) -> Iterable[Action]:
        if not missing.seen.members:
            return
        (members,) = missing.seen.members
        spec = missing.desired
        args = {"spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
        if members.missing or missing.seen.spec is None:
            ids = [facts["id"] for facts in members.missing]
            reason = "no such collection" if missing.seen.spec is None else f"{len(ids):,} members missing"
            whole = missing.seen.spec is None
            yield Action(missing.id, "associate", {**args, "ids": ids, "all": whole}, reason)
        if members.extra and missing.prune and not spec.protect:
            ids = [facts["id"] for facts in members.extra]
            reason = f"{len(ids):,} members that should not be in it"
            yield Action(missing.id, "disassociate", {**args, "ids": ids}, reason, destroys=len(ids))
        if missing.seen.spec is not None and missing.seen.spec.doc != spec.doc:
            yield Action(missing.id, "document", {**args, "doc": spec.doc}, "documented otherwise")

    def apply(self, live: Live, action: Action) -> Mapping[str, Any] | None:
        from reconciler.systems.butler import write_datasets, write_definitions

        spec = TaggedSpec.model_validate(action.args["spec"])
        name = action.id.name
        if action.verb == "document":
            write_definitions.set_doc(live.butler, name, action.args["doc"])
            return None
        ids = set(action.args["ids"])
        if action.verb == "disassociate":
            there = {id: ref for t in spec.dataset_types for id, ref in live.butler.members(t, [name]).items()}
            write_datasets.disassociate(live.butler, name, [ref for id, ref in there.items() if id in ids])
            return {"disassociated": len(ids)}
        refs, _ = wanted(live, spec)
        chosen = [ref for id, ref in refs.items() if id in ids]
        write_definitions.register_collection(live.butler, name, "TAGGED", spec.doc or "")
        write_datasets.associate(live.butler, name, chosen, lambda done: live.progress("members", done, len(chosen)))
        return {"associated": len(chosen)}

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        if action.verb != "associate":
            return
        spec = TaggedSpec.model_validate(action.args["spec"])
        types = [word for t in spec.dataset_types for word in ("--dataset-type", t)]
        where = spec.where
        if spec.visits or spec.exposures:
            dimension = "visit" if spec.visits else "exposure"
            numbers = ", ".join(str(number) for number in visit_list.read(spec.visits or spec.exposures or ""))
            where = " AND ".join(filter(None, [where, f"instrument='{spec.instrument}' AND {dimension} IN ({numbers})"]))
        clause = ["--where", where] if where else []
        sources = ",".join(spec.sources)
        yield ["butler", "associate", "$REPO", action.id.name, *types, "--collections", sources, *clause, "--limit", "0"]


def facts_of(ref: DatasetRef) -> dict[str, Any]:
    """Describe a dataset.

    Parameters
    ----------
    ref : `lsst.daf.butler.DatasetRef`
        The dataset.

    Returns
    -------
    facts : `dict`
        Its UUID, type and data ID; with the night where an exposure or visit number tells it.
    """
    facts = {"id": str(ref.id), "dataset_type": ref.datasetType.name, **dict(ref.dataId.required)}
    number = facts.get("exposure", facts.get("visit"))
    if isinstance(number, int) and 20_000_000 <= number // 100_000 <= 21_000_000:
        facts["day_obs"] = number // 100_000
    return facts


def wanted(live: Live, spec: TaggedSpec) -> tuple[dict[str, DatasetRef], list[Condition]]:
    """Find the datasets that are to be members.

    Parameters
    ----------
    live : `reconciler.systems.context.Live`
        With the repository.
    spec : `TaggedSpec`
        Which.

    Returns
    -------
    refs : `dict`
        Datasets by UUID.
    conditions : `list` [`reconciler.engine.model.Condition`]
        What was listed and can't be found yet.

    Raises
    ------
    reconciler.errors.ObserveError
        If the expression is not one.
    """
    names = list(spec.sources)
    ids = None
    if spec.ids:
        from pathlib import Path

        ids = {line.strip() for line in read_text(Path(spec.ids)).splitlines() if line.strip() and not line.startswith("#")}
    refs: dict[str, DatasetRef] = {}
    conditions: list[Condition] = []
    for dataset_type in spec.dataset_types:
        if spec.visits or spec.exposures:
            found, notes = _listed(live, spec, dataset_type, names)
            conditions += notes
        else:
            try:
                found = live.butler.members_where(dataset_type, names, spec.where)
            except ObserveError as error:
                raise ObserveError(f"where = {spec.where!r}: {error}", error.hints) from error
        refs |= {str(ref.id): ref for ref in found if ids is None or str(ref.id) in ids}
    if ids is not None and len(ids) > len(refs):
        conditions.append(
            Condition("waiting", f"{len(ids) - len(refs):,} of {len(ids):,} listed datasets are not in {', '.join(spec.sources)}")
        )
    return refs, conditions


def _count(live: Live, spec: TaggedSpec) -> int:
    """Count the datasets that are to be members; 0 where that takes listing them, or where some that are listed have none."""
    if spec.ids or ((spec.visits or spec.exposures) and spec.where):
        return 0
    count = 0
    for dataset_type in spec.dataset_types:
        if spec.visits or spec.exposures:
            numbers = visit_list.read(spec.visits or spec.exposures or "")
            dimension = "visit" if spec.visits else "exposure"
            found, having = live.butler.count_in(dataset_type, spec.sources, dimension, numbers, spec.instrument or "")
            if having != len(set(numbers)):
                return 0
            count += found
        else:
            try:
                count += live.butler.count(dataset_type, spec.sources, spec.where)
            except ObserveError as error:
                raise ObserveError(f"where = {spec.where!r}: {error}", error.hints) from error
    return count


def _listed(live: Live, spec: TaggedSpec, dataset_type: str, names: Sequence[str]) -> tuple[list[DatasetRef], list[Condition]]:
    assert spec.instrument is not None
    numbers: list[int] = visit_list.read(spec.visits or spec.exposures or "")
    known = live.butler.dataset_types().get(dataset_type)
    if known is None:
        return [], [Condition("later", f"there is no dataset type {dataset_type} yet")]
    dimension = "visit" if spec.visits else "exposure"
    lost: set[Hashable] = set()
    if dimension not in known.dimensions and dimension == "visit":
        exposures: dict[int, list[int]] = {}
        for record in live.butler.records("visit_definition", instrument=spec.instrument):
            exposures.setdefault(record.visit, []).append(record.exposure)
        lost = {number for number in numbers if number not in exposures}
        numbers = [exposure for number in numbers for exposure in exposures.get(number, ())]
        dimension = "exposure"
    found = live.butler.refs_in(dataset_type, names, dimension, numbers, spec.instrument)
    if spec.where:
        chosen = set(live.butler.data_ids(dataset_type, names, known.dimensions, spec.where))
        found = [ref for ref in found if tuple(ref.dataId[d] for d in known.dimensions) in chosen]
    have = {ref.dataId[dimension] for ref in found}
    lost |= {number for number in numbers if number not in have} if not spec.where else set()
    if not lost:
        return found, []
    what = "visits" if spec.visits else "exposures"
    text = f"{len(lost):,} listed {what} have no {dataset_type} in {', '.join(spec.sources)} yet"
    return found, [Condition("waiting", text, tuple({dimension: number} for number in sorted(lost, key=str)))]


KIND = TaggedKind()
