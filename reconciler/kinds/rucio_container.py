"""Rucio containers: whether they exist and contain what they should. Other contents are reported, never detached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import Command
from reconciler.engine.kind import Kind, KindTraits, Links, Requirements
from reconciler.engine.model import Action, Change, Condition, DifferenceKind, Made, Members, Observed
from reconciler.engine.spec import Spec
from reconciler.kinds.shared.dids import check_did
from reconciler.kinds.shared.rucio_names import describe_unknown_names, find_unknown_names

if TYPE_CHECKING:
    from reconciler.systems.context import Context


class RucioContainerSpec(Spec):
    """A Rucio container; the key is its DID."""

    contents: tuple[str, ...] = Field(
        description="Datasets and containers it must contain, scope:name.", examples=[["raw:Dataset/LSSTComCam/raw/20241108"]]
    )


class CreateContainer(Action):
    """Create an empty container."""

    is_single_call = True

    verb: Literal["create"] = "create"


class AttachContents(Action):
    """Attach datasets and containers to a container."""

    is_single_call = True

    verb: Literal["attach"] = "attach"
    contents: tuple[str, ...]


RucioContainerAction = CreateContainer | AttachContents


class RucioContainerKind(Kind[RucioContainerSpec, RucioContainerAction]):
    """The kind of ``rucio_container`` tables.

    A container provides its DID, and needs those of its contents. What is directly in it is compared, not what is below. A DID
    that is a dataset or a file in Rucio is a conflict, and a container whose scope doesn't exist is blocked.
    """

    name = "rucio_container"
    spec = RucioContainerSpec
    traits = KindTraits(summary="Rucio containers.", order=6, writes_to="rucio")

    def links(self, name: str, spec: RucioContainerSpec) -> Links:
        return Links(provides=[f"did:{name}"], needs=[f"did:{did}" for did in spec.contents])

    def requirements(self, spec: RucioContainerSpec) -> Requirements:
        return Requirements(systems=frozenset({"rucio"}))

    def validate(self, name: str, spec: RucioContainerSpec) -> Iterable[str]:
        yield from check_did(name)
        if name in spec.contents:
            yield f"contents: the container contains itself, {name}"
        twice = {did for did in spec.contents if spec.contents.count(did) > 1}
        yield from (f"contents: {did} is named twice" for did in sorted(twice))
        for did in dict.fromkeys(spec.contents):
            yield from (f"contents: {problem}" for problem in check_did(did))

    def observe(self, context: Context, desired: Mapping[str, RucioContainerSpec]) -> Mapping[str, Observed[RucioContainerSpec]]:
        dids = context.rucio.dids(desired)
        contents = context.rucio.contents(sorted(name for name, facts in dids.items() if facts.type == "CONTAINER"))
        observed = {}
        unknown = find_unknown_names(context, (), (name for name in desired if name not in dids))
        for name, spec in desired.items():
            if name not in dids:
                conditions = tuple(describe_unknown_names(unknown, name, (), new=True))
                observed[name] = Observed[RucioContainerSpec](None, conditions=conditions)
                continue
            if name not in contents:
                text = f"{name} is a {dids[name].type.lower()} in Rucio, not a container"
                observed[name] = Observed(spec, conditions=(Condition(DifferenceKind.CONFLICT, text),), taken=True)
                continue
            left_out = [did for did in spec.contents if did not in contents[name]]
            context.rucio.confirm_not_contained(name, left_out)
            members = Members.compare(
                "contents",
                {did: {"did": did} for did in spec.contents},
                contents[name],
                unmanaged=[{"did": did} for did in sorted(contents[name] - set(spec.contents))],
            )
            observed[name] = Observed(spec, (members,))
        return observed

    def plan(self, change: Change[RucioContainerSpec]) -> Iterable[RucioContainerAction]:
        if change.observed.is_blocked:
            return  # its scope doesn't exist
        if not change.exists:
            yield CreateContainer(address=change.address, reason="no such container")
            missing = change.desired.contents
        else:
            missing = tuple(member["did"] for part in change.observed.members for member in part.missing)
        if missing:
            reason = f"{len(missing):,} of its contents missing"
            yield AttachContents(address=change.address, contents=missing, reason=reason)

    def apply(self, context: Context, action: RucioContainerAction) -> Made | None:
        if isinstance(action, CreateContainer):
            context.rucio.create_container(action.address.name)
            return None
        context.rucio.attach(action.address.name, action.contents)
        return {"attached": len(action.contents)}

    def commands(self, action: RucioContainerAction) -> Iterable[Command]:
        if isinstance(action, CreateContainer):
            yield Command("rucio", "did", "add", "--type", "container", action.address.name)
        else:
            yield Command("rucio", "did", "content", "add", "--to-did", action.address.name, *action.contents)


KIND = RucioContainerKind()
