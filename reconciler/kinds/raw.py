"""Raw exposures: which files exist, which are ingested, and the ingest of just the difference.

Rucio knows which files exist and the Butler which are ingested. Names map to data IDs by a pattern in the state; without one the
files are compared by where they are. Only what Rucio has delivered here is ingested; the rest is waited for.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler.engine.model import Action, Cost, Kind, Members, Missing, Seen, Spec
from reconciler.kinds.shared.delivery import DELIVERED_BY, Arrivals, arrivals, under
from reconciler.kinds.shared.incomplete_nights import among, between, exposures, incomplete
from reconciler.kinds.shared.storage_check import VERIFY, sample, verified

if TYPE_CHECKING:
    from lsst.daf.butler import DatasetRef

    from reconciler.systems.context import Live

Transfer = Literal["auto", "link", "symlink", "hardlink", "copy", "move", "relsymlink", "direct"]
EXPOSURE_GROUPS = ("exposure", "obs_id")
DETECTOR_GROUPS = ("detector", "full_name")
MOST_FILES_TYPED = 20
HELD = 20_000
"""Raws that are held at once while their files are looked for."""


class RawSpec(Spec):
    """Raws; the key is their RUN collection."""

    instrument: str = Field(description="Whose raws.", examples=["LSSTComCam"])
    locations: tuple[str, ...] = Field(min_length=1, description="Folders that hold them.", examples=[["${data}/raw/LSSTComCam"]])
    transfer: Transfer = Field("direct", description="How the datastore takes them.")
    delivered_by: tuple[str, ...] = DELIVERED_BY
    verify: str = VERIFY
    sidecars: int = Field(
        0,
        ge=0,
        description=(
            "Files beside the raws of each exposure that are none, such as _index.json. With it Rucio's numbers of files tell "
            "whether a night is complete, and only nights that are not are listed."
        ),
        examples=[1],
    )
    files: str = Field(r"\.fits?(\.fz|\.gz)?$", description="Regular expression that names of raws match.")
    data_id: str | None = Field(
        None,
        description=(
            "Regular expression that finds the data ID in a name, by groups: exposure (its number) or obs_id, and detector "
            "(its number) or full_name. Files are compared by URI without one."
        ),
        examples=[r"(?P<obs_id>CC_O_\d{8}_\d{6})_(?P<full_name>R\d\d_S\d\d)\.fits"],
    )


class RawKind(Kind[RawSpec]):
    """The kind of ``raw`` tables."""

    name = "raw"
    spec = RawSpec
    summary = "Raw exposures in RUN collections."
    rank = 30

    def systems(self, spec: RawSpec) -> frozenset[Literal["butler", "rucio"]]:
        return frozenset({"butler", "rucio"} if spec.delivered_by else {"butler"})

    def provides(self, name: str, spec: RawSpec) -> Iterable[str]:
        yield f"collection:{name}"

    def contributes(self, name: str, spec: RawSpec) -> Iterable[str]:
        yield "dataset_type:raw"

    def needs(self, name: str, spec: RawSpec) -> Iterable[str]:
        yield f"instrument:{spec.instrument}"

    def follows(self, name: str, spec: RawSpec) -> Iterable[str]:
        yield from (f"did:{pattern}" for pattern in spec.delivered_by)

    def subcommands(self, spec: RawSpec) -> Iterable[str]:
        yield "ingest-raws"

    def check(self, name: str, spec: RawSpec) -> Iterable[str]:
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

    def observe(self, live: Live, desired: Mapping[str, RawSpec]) -> Mapping[str, Seen[RawSpec]]:
        seen = {name: self._see(live, name, spec) for name, spec in desired.items()}
        return {name: _with_storage(live, name, desired[name], found) for name, found in seen.items()}

    def _see(self, live: Live, name: str, spec: RawSpec) -> Seen[RawSpec]:
        nights = _nights(live, spec)
        total = sum(length for length, _ in nights.values())
        short: list[int] = []
        where, elsewhere, dids = "", 0, [did for _, held in nights.values() for did in held]
        if live.counts(total):
            short = _short(live, name, spec, nights)
            if not short:
                return Seen(spec, (Members.counted("raws", live.butler.count("raw", [name])),), facts={"untouched": False})
            if len(short) < len(nights):
                where = among(spec.instrument, short)
                elsewhere = live.butler.count("raw", [name]) - live.butler.count("raw", [name], where)
                dids = [did for night in short for did in nights[night][1]]
        sizes = self._exist(live, spec, dids)
        if not spec.delivered_by and live.counts(len(sizes)):
            count = sum(re.search(spec.data_id or "", path) is not None for path in sizes)
            if live.butler.count("raw", [name]) == count:
                return Seen(spec, (Members.counted("raws", count),), facts={"untouched": False})
        members = self._compare(live, name, spec, sizes, where)
        if where and any(facts.get("day_obs") not in short for facts in members.missing):
            where = ""  # what the names of Rucio's datasets say of nights is not what the exposures say
            members = self._compare(live, name, spec, sizes, where)
        if where:
            wanted_in_all, present_in_all = members.wanted + elsewhere, members.present + elsewhere
            members = dataclasses.replace(members, wanted=wanted_in_all, present=present_in_all, compared="count")
        come = arrivals(live, (dids or spec.delivered_by) if members.missing else (), [m["path"] for m in members.missing])
        members = split_arrived(members, come)
        exists = name in live.butler.collections()
        conditions = (come.condition,) if come.condition is not None and members.awaited else ()
        facts = {"untouched": members.present == 0}
        return Seen(spec if exists or not members.wanted else None, (members,), conditions, facts)

    def _compare(self, live: Live, name: str, spec: RawSpec, sizes: Mapping[str, int], where: str) -> Members:
        """Compare what exists with what is ingested, of all nights or of some."""
        key_of, present = self._ingested(live, name, spec, where)
        wanted: dict[Hashable, dict[str, Any]] = {}
        for path, size in sizes.items():
            found = key_of(path)
            if found is not None:
                key, facts = found
                wanted[key] = {**facts, "path": path, "bytes": size}
        return Members.compare("raws", wanted, present)

    def _exist(self, live: Live, spec: RawSpec, dids: Sequence[str]) -> dict[str, int]:
        """Give the size of every raw that exists, by where it lies or will lie."""
        of_a_raw = re.compile(spec.files)
        if not spec.delivered_by:
            return dict.fromkeys(live.files(spec.locations, spec.files), 0)
        found = {}
        for file in live.rucio.files(dids):
            if of_a_raw.search(file.name):
                places = [under(location, file.name) for location in spec.locations]
                # The location whose end the name repeats is the one that the file lies in.
                found[min(places, key=len)] = file.size
        return found

    def _ingested(self, live: Live, name: str, spec: RawSpec, where: str) -> tuple[Callable[[str], Any], set[Hashable]]:
        """Give a function from a path to its key and facts, and the keys of what is ingested."""
        if spec.data_id is None:
            uris = set(live.butler.paths(live.butler.refs("raw", [name], where)).values())
            return (lambda path: (path, {})), set(uris)
        pattern = re.compile(spec.data_id)
        present = live.butler.data_ids("raw", [name], ["exposure", "detector"], where)
        exposure_of: Callable[[Any], Any] = int
        detector_of: Callable[[Any], Any] = int
        by_obs_id = "obs_id" in pattern.groupindex
        by_full_name = "full_name" in pattern.groupindex
        keys: set[Hashable] = set(present)
        if by_obs_id or by_full_name:
            of_nights = where.replace("exposure.day_obs", "day_obs")
            exposed = live.butler.records("exposure", of_nights, instrument=spec.instrument) if by_obs_id else ()
            names = {r.id: r.obs_id for r in exposed}
            places = {r.id: r.full_name for r in live.butler.records("detector", instrument=spec.instrument)}
            keys = {(names[e] if by_obs_id else e, places[d] if by_full_name else d) for e, d in present}
            exposure_of = str if by_obs_id else int
            detector_of = str if by_full_name else int

        def key_of(path: str) -> Any:
            match = pattern.search(path)
            if match is None:
                return None
            exposure = exposure_of(match["obs_id" if by_obs_id else "exposure"])
            detector = detector_of(match["full_name" if by_full_name else "detector"])
            facts = {"exposure": exposure, "detector": detector}
            if night := re.search(r"(?<!\d)(20\d{6})(?!\d)", str(exposure)) or re.match(r"(20\d{6})\d{5}$", str(exposure)):
                facts["day_obs"] = int(night[1])
            return (exposure, detector), facts

        return key_of, keys

    def plan(self, missing: Missing[RawSpec]) -> Iterable[Action]:
        (members,) = missing.seen.members
        if not members.missing:
            return
        files = [facts["path"] for facts in members.missing]
        size = sum(facts["bytes"] for facts in members.missing)
        args = {
            "files": files,
            "locations": list(missing.desired.locations),
            "transfer": missing.desired.transfer,
            "run": None if missing.id.name == f"{missing.desired.instrument}/raw/all" else missing.id.name,
            "all": bool(missing.seen.facts["untouched"]) and not members.awaited,
        }
        yield Action(missing.id, "ingest", args, f"{len(files):,} not ingested", Cost(len(files), len(files), size))

    def apply(self, live: Live, action: Action) -> Mapping[str, Any]:
        files = action.args["files"]
        chunks = live.chunks(files)
        live.progress("raws", 0, len(files))
        done = 0
        for _ in live.run_butler([_ingest(action, live.butler.uri, chunk) for chunk in chunks]):
            done = min(done + len(chunks[0]), len(files))
            live.progress("raws", done, len(files))
        live.butler.analyze(len(files))
        return {"raws": len(files)}

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        files = action.args["files"]
        if action.args["all"]:
            files = action.args["locations"]
        elif len(files) > MOST_FILES_TYPED:
            files = sorted({file.rpartition("/")[0] for file in files})
        yield ["butler", *_ingest(action, "$REPO", files)]


def _with_storage(live: Live, name: str, spec: RawSpec, seen: Seen[RawSpec]) -> Seen[RawSpec]:
    if spec.verify == "none":
        return seen
    total = live.butler.count("raw", [name])
    bad = verified(live, spec.verify, _batches(live, name, spec, total), total)
    return dataclasses.replace(seen, conditions=(*seen.conditions, *bad))


def _batches(live: Live, name: str, spec: RawSpec, total: int) -> Iterator[list[DatasetRef]]:
    """List raws exposure by exposure, in pieces that may be held; for a sample, those of so many exposures at random."""
    found = sorted(live.butler.data_ids("raw", [name], ["instrument", "exposure"]))
    count, size = sample(spec.verify), max(HELD * len(found) // max(total, 1), 1)
    if count is not None:
        found = random.sample(found, min(count, len(found)))
        size = max(len(found), 1)
    for start in range(0, len(found), size):
        numbers: dict[str, list[int]] = defaultdict(list)
        for instrument, exposure in found[start : start + size]:
            numbers[instrument].append(exposure)
        yield [ref for whose, some in numbers.items() for ref in live.butler.refs_in("raw", [name], "exposure", some, whose)]


Nights = Mapping[int, tuple[int, Sequence[str]]]
"""By day of observation, 0 where a name tells none: how many files Rucio's datasets hold, and which datasets those are."""


def _nights(live: Live, spec: RawSpec) -> Nights:
    found: dict[int, tuple[int, list[str]]] = {}
    wanted = [did for pattern in spec.delivered_by for did in live.rucio.matching(pattern)]
    facts = live.rucio.dids(wanted) if wanted else {}
    for did in wanted:
        days = re.findall(r"(?<!\d)20\d{6}(?!\d)", did)
        night = int(days[-1]) if days else 0
        length, dids = found.get(night, (0, []))
        known = facts[did].length if did in facts else None
        # An open dataset has no length: its night never adds up, and is listed.
        found[night] = (length + (known if known is not None else 1 << 40), [*dids, did])
    return found


def _short(live: Live, name: str, spec: RawSpec, nights: Nights) -> list[int]:
    """Find the nights that are not complete: Rucio has more or fewer files of them than there are raws and files beside them.

    The files beside them are those of all exposures that are recorded; where some have no raws here, their night is listed.
    """
    order = sorted(nights)
    recorded = live.butler.count_records("exposure", instrument=spec.instrument) if spec.sidecars else 0
    if live.butler.count("raw", [name]) + spec.sidecars * recorded == sum(length for length, _ in nights.values()):
        return []
    if 0 in nights:
        return order

    def surplus(begin: int, end: int) -> int:
        raws = live.butler.count("raw", [name], between(spec.instrument, begin, end))
        beside = spec.sidecars * exposures(live, spec.instrument, begin, end) if spec.sidecars else 0
        return raws + beside - sum(length for night, (length, _) in nights.items() if begin <= night < end)

    return incomplete(order, surplus)


def _ingest(action: Action, repository: str, places: Sequence[str]) -> list[str]:
    run = ["--output-run", action.args["run"]] if action.args["run"] else []
    return ["ingest-raws", "--fail-fast", "--transfer", action.args["transfer"], *run, repository, *places]


def split_arrived(members: Members, come: Arrivals) -> Members:
    """Tell apart the missing members whose files are here from those to be waited for.

    Parameters
    ----------
    members : `reconciler.engine.model.Members`
        Each missing one with its ``path``.
    come : `reconciler.kinds.shared.delivery.Arrivals`
        What is here.

    Returns
    -------
    members : `reconciler.engine.model.Members`
        With the others in ``awaited``.
    """
    here = tuple(facts for facts in members.missing if come.is_here(facts["path"]))
    if len(here) == len(members.missing):
        return members
    kept = {facts["path"] for facts in here}
    awaited = tuple(facts for facts in members.missing if facts["path"] not in kept)
    return dataclasses.replace(members, missing=here, awaited=awaited)


KIND = RawKind()
