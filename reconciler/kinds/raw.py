"""Raw exposures: which files exist, which are ingested, and the ingest of just the difference.

Rucio knows which files exist and the Butler which are ingested. Names map to data IDs by a pattern in the state; without one the
files are compared by where they are. Only what Rucio has delivered here is ingested; the rest is waited for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler.kinds._delivery import DELIVERED_BY, Arrivals, arrivals, under
from reconciler.model import Action, Cost, Kind, Members, Missing, Seen, Spec

if TYPE_CHECKING:
    from reconciler.live import Live

Transfer = Literal["auto", "link", "symlink", "hardlink", "copy", "move", "relsymlink", "direct"]
EXPOSURE_GROUPS = ("exposure", "obs_id")
DETECTOR_GROUPS = ("detector", "full_name")
CHUNK = 10_000
MOST_FILES_TYPED = 20


class RawSpec(Spec):
    """Raws; the key is their RUN collection."""

    instrument: str = Field(description="Whose raws.", examples=["LSSTComCam"])
    locations: tuple[str, ...] = Field(min_length=1, description="Folders that hold them.", examples=[["${data}/raw/LSSTComCam"]])
    transfer: Transfer = Field("direct", description="How the datastore takes them.")
    delivered_by: tuple[str, ...] = DELIVERED_BY
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
        return {name: self._see(live, name, spec) for name, spec in desired.items()}

    def _see(self, live: Live, name: str, spec: RawSpec) -> Seen[RawSpec]:
        sizes = self._exist(live, spec)
        key_of, present = self._ingested(live, name, spec)
        wanted: dict[Hashable, dict[str, Any]] = {}
        for path, size in sizes.items():
            found = key_of(path)
            if found is not None:
                key, facts = found
                wanted[key] = {**facts, "path": path, "bytes": size}
        members = Members.compare("raws", wanted, present)
        come = arrivals(live, spec.delivered_by if members.missing else ())
        members = split_arrived(members, come)
        exists = name in live.butler.collections()
        conditions = (come.condition,) if come.condition is not None and members.awaited else ()
        facts = {"untouched": members.present == 0}
        return Seen(spec if exists or not wanted else None, (members,), conditions, facts)

    def _exist(self, live: Live, spec: RawSpec) -> dict[str, int]:
        """Give the size of every raw that exists, by where it lies or will lie."""
        of_a_raw = re.compile(spec.files)
        if not spec.delivered_by:
            from reconciler.live.storage import find

            return dict.fromkeys(find(spec.locations, spec.files), 0)
        dids = [did for pattern in spec.delivered_by for did in live.rucio.matching(pattern)]
        found = {}
        for file in live.rucio.files(dids):
            if of_a_raw.search(file.name):
                places = [under(location, file.name) for location in spec.locations]
                # The location whose end the name repeats is the one that the file lies in.
                found[min(places, key=len)] = file.size
        return found

    def _ingested(self, live: Live, name: str, spec: RawSpec) -> tuple[Callable[[str], Any], set[Hashable]]:
        """Give a function from a path to its key and facts, and the keys of what is ingested."""
        if spec.data_id is None:
            uris = set(live.butler.paths(live.butler.refs("raw", [name])).values())
            return (lambda path: (path, {})), set(uris)
        pattern = re.compile(spec.data_id)
        present = live.butler.data_ids("raw", [name], ["exposure", "detector"])
        exposures: Callable[[Any], Any] = int
        detectors: Callable[[Any], Any] = int
        by_obs_id = "obs_id" in pattern.groupindex
        by_full_name = "full_name" in pattern.groupindex
        keys: set[Hashable] = set(present)
        if by_obs_id or by_full_name:
            names = {r.id: r.obs_id for r in live.butler.records("exposure", instrument=spec.instrument)} if by_obs_id else {}
            places = {r.id: r.full_name for r in live.butler.records("detector", instrument=spec.instrument)}
            keys = {(names[e] if by_obs_id else e, places[d] if by_full_name else d) for e, d in present}
            exposures = str if by_obs_id else int
            detectors = str if by_full_name else int

        def key_of(path: str) -> Any:
            match = pattern.search(path)
            if match is None:
                return None
            exposure = exposures(match["obs_id" if by_obs_id else "exposure"])
            detector = detectors(match["full_name" if by_full_name else "detector"])
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
        for start in range(0, len(files), CHUNK):
            live.progress("raws", start, len(files))
            live.run_butler(_ingest(action, live.butler.uri, files[start : start + CHUNK]))
        live.progress("raws", len(files), len(files))
        return {"raws": len(files)}

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        files = action.args["files"]
        if action.args["all"]:
            files = action.args["locations"]
        elif len(files) > MOST_FILES_TYPED:
            files = sorted({file.rpartition("/")[0] for file in files})
        yield ["butler", *_ingest(action, "$REPO", files)]


def _ingest(action: Action, repository: str, places: Sequence[str]) -> list[str]:
    run = ["--output-run", action.args["run"]] if action.args["run"] else []
    return ["ingest-raws", "--fail-fast", "--transfer", action.args["transfer"], *run, repository, *places]


def split_arrived(members: Members, come: Arrivals) -> Members:
    """Tell apart the missing members whose files are here from those to be waited for.

    Parameters
    ----------
    members : `reconciler.model.Members`
        Each missing one with its ``path``.
    come : `reconciler.kinds._delivery.Arrivals`
        What is here.

    Returns
    -------
    members : `reconciler.model.Members`
        With the others in ``awaited``.
    """
    import dataclasses

    here = tuple(facts for facts in members.missing if come.is_here(facts["path"]))
    if len(here) == len(members.missing):
        return members
    kept = {facts["path"] for facts in here}
    awaited = tuple(facts for facts in members.missing if facts["path"] not in kept)
    return dataclasses.replace(members, missing=here, awaited=awaited)


KIND = RawKind()
