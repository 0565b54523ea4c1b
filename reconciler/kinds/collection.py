"""Collections that stand for themselves: a RUN, TAGGED or CALIBRATION collection of a given type, perhaps documented."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.model import Action, Condition, Kind, Missing, Seen, Spec
from reconciler.state.braces import is_glob

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class CollectionSpec(Spec):
    """A collection."""

    type: Literal["RUN", "TAGGED", "CALIBRATION"] = Field(description="Its type; chains have a table of their own.")
    doc: str | None = Field(None, description="Its documentation.")


class CollectionKind(Kind[CollectionSpec]):
    """The kind of ``collection`` tables."""

    name = "collection"
    spec = CollectionSpec
    summary = "RUN, TAGGED and CALIBRATION collections."
    rank = 60
    answers = ("collection",)

    def provides(self, name: str, spec: CollectionSpec) -> Iterable[str]:
        yield f"collection:{name}"

    def exists(self, live: Live, tokens: Collection[str]) -> Collection[str]:
        import fnmatch

        names = live.butler.collections()
        found = set()
        for token in tokens:
            wanted = token.partition(":")[2]
            if wanted in names or (is_glob(wanted) and fnmatch.filter(names, wanted)):
                found.add(token)
        return found

    def observe(self, live: Live, desired: Mapping[str, CollectionSpec]) -> Mapping[str, Seen[CollectionSpec]]:
        there = live.butler.collections()
        seen = {}
        for name, spec in desired.items():
            if name not in there:
                continue
            conditions: tuple[Condition, ...] = ()
            if there[name].type != spec.type:
                text = f"the name is taken by a {there[name].type} collection, and the type of one can't be changed"
                conditions = (Condition("conflict", text),)
            doc = spec.doc if spec.doc is None else there[name].doc
            seen[name] = Seen(spec.model_copy(update={"type": there[name].type, "doc": doc}), conditions=conditions)
        return seen

    def plan(self, missing: Missing[CollectionSpec]) -> Iterable[Action]:
        spec, there = missing.desired, missing.seen.spec
        args = {"type": spec.type, "doc": spec.doc}
        if there is None:
            yield Action(missing.id, "register", args, "no such collection")
        elif there.type == spec.type:
            yield Action(missing.id, "document", args, "documented otherwise")

    def apply(self, live: Live, action: Action) -> None:
        from reconciler.systems.butler.write_definitions import register_collection, set_doc

        if action.verb == "register":
            register_collection(live.butler, action.id.name, action.args["type"], action.args["doc"] or "")
        else:
            set_doc(live.butler, action.id.name, action.args["doc"])

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        call = (
            f"registerCollection({action.id.name!r}, CollectionType.{action.args['type']}, {action.args['doc']!r})"
            if action.verb == "register"
            else f"setCollectionDocumentation({action.id.name!r}, {action.args['doc']!r})"
        )
        yield _python(f"butler.registry.{call}")


def _python(call: str) -> list[str]:
    """The butler command has no subcommand for it, so an operator types Python."""
    code = "import os; from lsst.daf.butler import Butler, CollectionType; butler = Butler(os.environ['REPO'], writeable=True); "
    return ["python", "-c", code + call]


KIND = CollectionKind()
