"""Rucio containers: that they exist and hold what they have to. What else is in one is reported, never detached."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from reconciler.engine.model import Action, Condition, Kind, Members, Missing, Seen, Spec
from reconciler.kinds.rucio_dataset import check_did

if TYPE_CHECKING:
    from reconciler.systems.context import Live

CHUNK = 500


class RucioContainerSpec(Spec):
    """A Rucio container; the key is its DID."""

    contents: tuple[str, ...] = Field(
        description="Datasets and containers in it, scope:name.", examples=[["raw:Dataset/LSSTComCam/raw/20241108"]]
    )


class RucioContainerKind(Kind[RucioContainerSpec]):
    """The kind of ``rucio_container`` tables."""

    name = "rucio_container"
    spec = RucioContainerSpec
    summary = "Rucio containers."
    changes = "rucio"
    rank = 6

    def systems(self, spec: RucioContainerSpec) -> frozenset[Literal["butler", "rucio"]]:
        return frozenset({"rucio"})

    def provides(self, name: str, spec: RucioContainerSpec) -> Iterable[str]:
        yield f"did:{name}"

    def needs(self, name: str, spec: RucioContainerSpec) -> Iterable[str]:
        yield from (f"did:{did}" for did in spec.contents)

    def check(self, name: str, spec: RucioContainerSpec) -> Iterable[str]:
        yield from check_did(name)
        for did in spec.contents:
            yield from (f"contents: {problem}" for problem in check_did(did))

    def observe(self, live: Live, desired: Mapping[str, RucioContainerSpec]) -> Mapping[str, Seen[RucioContainerSpec]]:
        there = live.rucio.dids(desired)
        contents = live.rucio.contents(sorted(name for name, facts in there.items() if facts.type == "CONTAINER"))
        seen = {}
        for name, spec in desired.items():
            if name not in there:
                continue
            if name not in contents:
                text = f"{name} is a {there[name].type.lower()} in Rucio, not a container"
                seen[name] = Seen(spec, conditions=(Condition("conflict", text),))
                continue
            members = Members.compare(
                "contents",
                {did: {"did": did} for did in spec.contents},
                contents[name],
                extra=[{"did": did, "kept": True} for did in sorted(contents[name] - set(spec.contents))],
            )
            seen[name] = Seen(spec, (members,))
        return seen

    def plan(self, missing: Missing[RucioContainerSpec]) -> Iterable[Action]:
        contents = list(missing.desired.contents)
        if missing.seen.spec is None:
            yield Action(missing.id, "create", {}, "no such container")
        elif not missing.seen.members:
            return
        else:
            contents = [facts["did"] for facts in missing.seen.members[0].missing]
        if contents:
            yield Action(missing.id, "attach", {"contents": contents}, f"lacks {len(contents):,} of its contents")

    def apply(self, live: Live, action: Action) -> Mapping[str, Any] | None:
        scope, _, name = action.id.name.partition(":")
        if action.verb == "create":
            live.rucio.write(f"make container {action.id.name}", lambda client: client.add_container(scope, name))
            return None
        dids = [dict(zip(("scope", "name"), did.split(":", 1), strict=True)) for did in action.args["contents"]]
        for start in range(0, len(dids), CHUNK):
            chunk = dids[start : start + CHUNK]
            attach = functools.partial(_attach, scope, name, chunk)
            live.rucio.write(f"attach to {action.id.name}", attach)
        return {"attached": len(dids)}

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        if action.verb == "create":
            yield ["rucio", "did", "add", "--type", "container", action.id.name]
        else:
            yield ["rucio", "did", "content", "add", "--to-did", action.id.name, *action.args["contents"]]


def _attach(scope: str, name: str, dids: list[dict[str, str]], client: Any) -> None:
    client.attach_dids(scope, name, dids)


KIND = RucioContainerKind()
