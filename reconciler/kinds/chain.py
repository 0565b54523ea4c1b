"""Chains: ordered lists of collections that users search by one name.

Order is meaning here: a dataset is found in the first child that has it. So a chain that holds the right children in another
order is as wrong as one that lacks a child, and the two are told apart. A child that nobody asked for is taken out only under
--prune.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.model import Action, Condition, Kind, Members, Missing, Seen, Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class ChainSpec(Spec):
    """A CHAINED collection."""

    children: tuple[str, ...] = Field(description="Collections in search order.", examples=[["HSC/raw/all", "HSC/calib"]])
    mode: Literal["exact", "contains"] = Field(
        "exact", description="exact: these children and no others; contains: others may stand behind them."
    )
    flatten: bool = Field(False, description="Whether children that are chains are replaced by their own children.")
    doc: str | None = Field(None, description="Its documentation.")


class ChainKind(Kind[ChainSpec]):
    """The kind of ``chain`` tables."""

    name = "chain"
    spec = ChainSpec
    summary = "Chains of collections."
    rank = 80

    def provides(self, name: str, spec: ChainSpec) -> Iterable[str]:
        yield f"collection:{name}"

    def needs(self, name: str, spec: ChainSpec) -> Iterable[str]:
        yield from (f"collection:{child}" for child in spec.children)

    def check(self, name: str, spec: ChainSpec) -> Iterable[str]:
        twice = {child for child in spec.children if spec.children.count(child) > 1}
        yield from (f'children: "{child}" is named twice' for child in sorted(twice))

    def observe(self, live: Live, desired: Mapping[str, ChainSpec]) -> Mapping[str, Seen[ChainSpec]]:
        there = live.butler.collections()
        seen = {}
        for name, spec in desired.items():
            if name not in there:
                continue
            if there[name].type != "CHAINED":
                text = f"the name is taken by a {there[name].type} collection"
                seen[name] = Seen(spec, conditions=(Condition("conflict", text),), facts={"taken": True})
                continue
            children = there[name].children
            wanted = self._wanted(live, spec)
            extra = [child for child in children if child not in wanted]
            known = tuple(child for child in children if child in wanted)
            if known == wanted and spec.mode == "contains" and children[: len(wanted)] != wanted:
                known = tuple(children)  # a stranger stands in front, and hides what is behind it
            doc = spec.doc if spec.doc is None else there[name].doc
            found = spec.model_copy(update={"children": spec.children if known == wanted else known, "doc": doc})
            members: tuple[Members, ...] = ()
            if spec.mode == "exact" and extra:
                members = (Members("children", len(wanted), len(known), extra=tuple({"collection": c} for c in extra)),)
            facts = {"children": list(children), "wanted": list(wanted)}
            seen[name] = Seen(found, members, facts=facts)
        return seen

    def _wanted(self, live: Live, spec: ChainSpec) -> tuple[str, ...]:
        if not spec.flatten:
            return spec.children
        flat = (leaf for child in spec.children for leaf in live.butler.flattened(child) or [child])
        return tuple(dict.fromkeys(flat))

    def plan(self, missing: Missing[ChainSpec]) -> Iterable[Action]:
        facts = missing.seen.facts
        if facts.get("taken"):
            return
        children, wanted = facts.get("children", []), facts.get("wanted", list(missing.desired.children))
        extra = [child for child in children if child not in wanted]
        args = {"children": wanted, "flatten": missing.desired.flatten, "doc": missing.desired.doc}
        fields = {difference.field for difference in missing.differences}
        if extra and missing.prune and missing.desired.mode == "exact" and not missing.desired.protect:
            yield Action(missing.id, "redefine", args, f"takes out {', '.join(extra)}", destroys=len(extra))
        elif missing.seen.spec is None or ("children" in {f for f in fields if f} and why(wanted, children)):
            reason = "no such chain" if missing.seen.spec is None else why(wanted, children)
            yield Action(missing.id, "redefine", args | {"children": [*wanted, *extra]}, reason)
        if missing.seen.spec is not None and "doc" in fields:
            yield Action(missing.id, "document", args, "documented otherwise")

    def apply(self, live: Live, action: Action) -> None:
        from reconciler.systems.butler.write_definitions import define_chain, set_doc

        if action.verb == "document":
            set_doc(live.butler, action.id.name, action.args["doc"])
            return
        children = action.args["children"]
        if action.args["flatten"]:
            children = list(dict.fromkeys(leaf for child in children for leaf in live.butler.flattened(child) or [child]))
        define_chain(live.butler, action.id.name, children, action.args["doc"] or "")

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        flag = ["--flatten"] if action.args["flatten"] else []
        doc = ["--doc", action.args["doc"]] if action.args["doc"] else []
        yield ["butler", "collection-chain", *flag, *doc, "$REPO", action.id.name, ",".join(action.args["children"])]


def why(wanted: Sequence[str], there: Sequence[str]) -> str:
    """Say in one phrase why a chain is not as wanted.

    Parameters
    ----------
    wanted, there : sequence of `str`
        Children.

    Returns
    -------
    reason : `str`
        Empty if only strangers stand behind the wanted ones.
    """
    lacking = [child for child in wanted if child not in there]
    if lacking:
        return f"lacks {', '.join(lacking)}"
    return (
        ""
        if [child for child in there if child in wanted] == list(wanted) and there[: len(wanted)] == list(wanted)
        else "children in another order"
    )


KIND = ChainKind()
