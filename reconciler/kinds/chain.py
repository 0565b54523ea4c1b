"""Chains: ordered lists of collections that users search by one name.

The order has meaning: a dataset is found in the first child that contains it. A chain with the right children in the wrong order
is therefore reported as a change, separately from missing children. Children that the state doesn't list are removed only under
--prune.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import REPO, Command, Comment
from reconciler.engine.kind import Kind, KindTraits, Links
from reconciler.engine.model import Action, Change, Condition, DifferenceKind, Members, Observed
from reconciler.engine.spec import Spec
from reconciler.kinds.shared.python_calls import butler_calls, can_be_typed, registry_call

if TYPE_CHECKING:
    from reconciler.systems.context import Context

WILDCARDS = frozenset("*?")
"""What no name of a collection contains; a bracket may be part of one."""


class ChainSpec(Spec):
    """A CHAINED collection; the key is its name."""

    children: tuple[str, ...] = Field(description="Collections in search order.", examples=[["HSC/raw/all", "HSC/calib"]])
    mode: Literal["exact", "contains"] = Field(
        "exact",
        description="exact: these children and no others; contains: others may follow the listed ones.",
        examples=["contains"],
    )
    flatten: bool = Field(
        False, description="Whether to replace children that are chains by their own children.", examples=[True]
    )
    doc: str | None = Field(
        None,
        description="Documentation string of the chain; not compared if it is left out.",
        examples=["Collections that users of this campaign search"],
    )


class RedefineChain(Action):
    """Set the children of a chain, creating it if necessary."""

    is_single_call = True

    verb: Literal["redefine"] = "redefine"
    children: tuple[str, ...]
    flatten: bool
    doc: str | None


class DocumentChain(Action):
    """Set the documentation of a chain."""

    is_single_call = True

    verb: Literal["document"] = "document"
    doc: str


@dataclass(frozen=True)
class ObservedChain(Observed[ChainSpec]):
    """A chain that exists.

    Parameters
    ----------
    children : `tuple` [`str`, ...]
        Its children, in order.
    flat : `tuple` [`str`, ...]
        The desired children, flattened if the state asks for that.
    """

    children: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()

    @property
    def unlisted(self) -> tuple[str, ...]:
        """The children that the state doesn't list."""
        return tuple(child for child in self.children if child not in self.flat)


class ChainKind(Kind[ChainSpec, RedefineChain | DocumentChain]):
    """The kind of ``chain`` tables.

    A name that another type of collection has is a conflict; a chain that would contain itself is blocked.
    """

    name = "chain"
    spec = ChainSpec
    traits = KindTraits(summary="Chains of collections.", order=80)

    def links(self, name: str, spec: ChainSpec) -> Links:
        return Links(provides=[f"collection:{name}"], needs=[f"collection:{child}" for child in spec.children])

    def validate(self, name: str, spec: ChainSpec) -> Iterable[str]:
        if name in spec.children:
            yield f'children: the chain contains itself, "{name}"'
        twice = {child for child in spec.children if spec.children.count(child) > 1}
        yield from (f'children: "{child}" is named twice' for child in sorted(twice))
        for child in spec.children:
            if not WILDCARDS.isdisjoint(child):
                yield f'children: "{child}" has wildcards, and a chain names each of its children'

    def observe(self, context: Context, desired: Mapping[str, ChainSpec]) -> Mapping[str, Observed[ChainSpec]]:
        collections = context.butler.collections()
        observed: dict[str, Observed[ChainSpec]] = {}
        for name, spec in desired.items():
            if name not in collections:
                continue
            existing = collections[name]
            if existing.type == "CHAINED":
                flat = _flatten(context, spec.children, desired, frozenset({name})) if spec.flatten else spec.children
                found = _compare_children(spec, flat, existing.children, existing.doc)
                circle = tuple(_find_circles(context, name, desired)) if found.children != found.flat else ()
                observed[name] = replace(found, conditions=found.conditions + circle)
            else:
                text = f"the name is taken by a {existing.type} collection"
                observed[name] = Observed(spec, conditions=(Condition(DifferenceKind.CONFLICT, text),), taken=True)
        return observed

    def plan(self, change: Change[ChainSpec]) -> Iterable[RedefineChain | DocumentChain]:
        address, desired, observed = change.address, change.desired, change.observed
        flatten, doc = desired.flatten, desired.doc
        if not change.exists:
            children, reason = desired.children, "no such chain"
            yield RedefineChain(address=address, children=children, flatten=flatten, doc=doc, reason=reason)
        if not isinstance(observed, ObservedChain):
            return  # the chain is absent, or its name is taken
        circular = observed.is_blocked
        redefinition = _redefine(change, observed) if not circular else None
        if redefinition is not None:
            yield redefinition
        if doc is not None and "doc" in change.fields:
            yield DocumentChain(address=address, doc=doc, reason="documentation differs")

    def apply(self, context: Context, action: RedefineChain | DocumentChain) -> None:
        from reconciler.systems.butler.write_definitions import define_chain, set_doc

        match action:
            case RedefineChain():
                children = _flatten(context, action.children, {}) if action.flatten else action.children
                define_chain(context.butler, action.address.name, children, action.doc or "")
            case DocumentChain():
                set_doc(context.butler, action.address.name, action.doc)

    def commands(self, action: RedefineChain | DocumentChain) -> Iterable[Command | Comment]:
        name = action.address.name
        match action:
            case RedefineChain():
                if not action.children or not can_be_typed([name, *action.children]):
                    yield _redefine_by_python(action)
                    return
                flag = ["--flatten"] if action.flatten else []
                doc = ["--doc", action.doc] if action.doc else []
                yield Command("butler", "collection-chain", *flag, *doc, REPO, name, ",".join(action.children))
            case DocumentChain():
                yield registry_call(f"setCollectionDocumentation({name!r}, {action.doc!r})")


def _redefine_by_python(action: RedefineChain) -> Command | Comment:
    """Return a command for names that ``butler collection-chain`` would misread."""
    if action.flatten:
        return Comment(f"{action.address}: no butler command can set these children; reconcile apply does")
    name, children = action.address.name, list(action.children)
    register = f"collections.register({name!r}, CollectionType.CHAINED, {action.doc!r})"
    return butler_calls(register, f"collections.redefine_chain({name!r}, {children!r})")


def _flatten(
    context: Context, children: Sequence[str], desired: Mapping[str, ChainSpec], above: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Replace children that are chains by the children that these will have after an apply; absent collections are kept.

    ``above`` are the chains that are being flattened, which a child may contain by mistake; they are left out.
    """
    collections = context.butler.collections()
    found: dict[str, None] = {}
    visited: set[str] = set(above)
    stack = [*reversed(children)]
    while stack:
        child = stack.pop()
        if child in visited:
            continue
        visited.add(child)
        existing = collections.get(child)
        spec = desired.get(child)
        if existing is not None and existing.type == "CHAINED":
            present = existing.children
            stack += reversed(present if spec is None else _predict(context, spec, present, desired, above | {child}))
        elif spec is not None and spec.manage != "observe":
            stack += reversed(spec.children)
        else:
            found[child] = None
    return tuple(found)


def _predict(
    context: Context, spec: ChainSpec, present: tuple[str, ...], desired: Mapping[str, ChainSpec], above: frozenset[str]
) -> tuple[str, ...]:
    """Return the children that an existing chain with a table will have."""
    if spec.manage != "full":
        return present
    return _arrange(spec.mode, _flatten(context, spec.children, desired, above) if spec.flatten else spec.children, present)


def _find_circles(context: Context, name: str, desired: Mapping[str, ChainSpec]) -> Iterable[Condition]:
    """Describe the children that contain the chain itself by chains that no table has; those of tables are in the graph."""
    collections = context.butler.collections()
    for child in desired[name].children:
        visited: set[str] = set()
        stack = [child]
        while stack:
            other = stack.pop()
            existing = collections.get(other)
            if other in visited or existing is None:
                continue
            visited.add(other)
            spec = desired.get(other)
            stack += (
                existing.children
                if spec is None
                else {*_predict(context, spec, existing.children, {}, frozenset()), *spec.children}
            )
        if name in visited:
            text = f"children: {child} contains {name}, and a chain can't contain itself"
            yield Condition(DifferenceKind.BLOCKED, text)


def _compare_children(spec: ChainSpec, flat: tuple[str, ...], children: tuple[str, ...], doc: str) -> ObservedChain:
    unlisted = tuple(child for child in children if child not in flat)
    listed = tuple(child for child in children if child in flat)
    resolved = spec.model_copy(update={"children": flat})
    found = resolved.model_copy(update={"children": listed, "doc": spec.doc if spec.doc is None else doc})
    members: tuple[Members, ...] = ()
    conditions: tuple[Condition, ...] = ()
    if spec.mode == "exact" and unlisted:
        unwanted = tuple({"collection": child} for child in unlisted)
        members = (Members("children", len(flat), len(listed), unwanted=unwanted),)
    if spec.mode == "contains":
        conditions = tuple(_describe_misplaced(flat, listed, children))
    return ObservedChain(found, members, conditions, resolved=resolved, children=children, flat=flat)


def _describe_misplaced(flat: Sequence[str], listed: Sequence[str], children: Sequence[str]) -> Iterable[Condition]:
    """Describe the unlisted children before a listed one, whose datasets they hide; they are to follow the desired children."""
    last = children.index(listed[-1]) if listed else 0
    unlisted = [child for child in children if child not in flat]
    for child in (child for child in children[:last] if child not in flat):
        to = len(flat) + unlisted.index(child) + 1
        text = f"↕ {child} from {children.index(child) + 1} to {to}: no table lists it, and it comes before listed children"
        yield Condition(DifferenceKind.CHANGE, text, field="children")


def _redefine(change: Change[ChainSpec], observed: ObservedChain) -> RedefineChain | None:
    """Return the action that gives an existing chain its children, if it needs one; they are flat already."""
    desired, unlisted, present = change.desired, observed.unlisted, observed.children
    children = _arrange(desired.mode, observed.flat, present)
    removes: tuple[str, ...] = ()
    reason = _explain(observed.flat, present)
    if unlisted and change.prune and desired.mode == "exact" and not desired.protect:
        children, removes, reason = observed.flat, unlisted, f"removes {', '.join(unlisted)}"
    if children == present:
        return None
    return RedefineChain(
        address=change.address, children=children, flatten=False, doc=desired.doc, reason=reason, removes=removes
    )


def _arrange(mode: str, flat: tuple[str, ...], children: tuple[str, ...]) -> tuple[str, ...]:
    """Return the children that a chain gets if no unlisted one is removed.

    Where others may follow the listed ones, they do. Else they are unwanted, and each stays behind as many of the listed children
    as before, so that nothing is moved but what the plan shows.
    """
    unlisted: dict[int, list[str]] = defaultdict(list)
    passed = 0
    for child in children:
        if child in flat:
            passed += 1
        else:
            unlisted[passed].append(child)
    if mode == "contains":
        return (*flat, *chain.from_iterable(unlisted.values()))
    arranged: list[str] = []
    passed = 0
    for child in flat:
        if child in children:
            arranged += unlisted[passed]
            passed += 1
        arranged.append(child)
    return (*arranged, *unlisted[passed])


def _explain(desired: Sequence[str], children: Sequence[str]) -> str:
    """Return in one phrase what is wrong with the children of a chain that is to be redefined."""
    missing = [child for child in desired if child not in children]
    return f"lacks {', '.join(missing)}" if missing else "children in another order"


KIND = ChainKind()
