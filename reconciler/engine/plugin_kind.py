"""A kind of another package, in a wrapper that names the package in whatever error its code raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from reconciler.engine.commands import Command, Comment
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import Action, Address, Change, JsonObject, Made, Observed
from reconciler.engine.plugins import Plugin
from reconciler.engine.spec import Spec
from reconciler.errors import ApplyError, Interrupted, ObserveError, PluginError, ReconcileError

R = TypeVar("R")
REQUIRED = (("name", str), ("traits", KindTraits))


def load_plugin_kind(name: str, plugin: Plugin) -> Kind[Any, Any]:
    """Load the kind of a table from another package.

    Raises
    ------
    reconciler.errors.PluginError
        If it can't be loaded, isn't a kind, is one of another table, or its spec can't be described by a JSON Schema.
    """
    loaded = plugin.load()
    if not isinstance(loaded, Kind):
        raise plugin.error(f"is not an instance of reconciler.Kind: {type(loaded).__name__}")
    for attribute, expected in REQUIRED:
        if not isinstance(getattr(loaded, attribute, None), expected):
            raise plugin.error(f"has no attribute {attribute} of type {expected.__name__}")
    if loaded.name != name:
        raise plugin.error(f'is a kind of the table "{loaded.name}"; its entry point must have the same name')
    spec = getattr(loaded, "spec", None)
    if not (isinstance(spec, type) and issubclass(spec, Spec)):
        raise plugin.error("has no attribute spec that is a subclass of reconciler.Spec")
    try:
        spec.model_json_schema()
    except Exception as error:  # pydantic raises many classes for a model that can't be described
        raise plugin.error(f"has a spec without a JSON Schema: {type(error).__name__}: {error}") from error
    return PluginKind(loaded, plugin)


class PluginKind(Kind[Any, Any]):
    """Passes everything on to the kind of another package.

    What its code raises, other than the errors of `reconciler.errors`, becomes an `ObserveError` of `observe`, an `ApplyError` of
    `apply`, and a `PluginError` of any other method; the message names the package.

    Parameters
    ----------
    kind : `Kind`
        That kind.
    plugin : `Plugin`
        Where it was found.
    """

    def __init__(self, kind: Kind[Any, Any], plugin: Plugin) -> None:
        self.kind, self.plugin = kind, plugin
        self.name, self.spec, self.traits = kind.name, kind.spec, kind.traits  # type: ignore[misc]  # one class for all kinds

    def links(self, name: str, spec: Spec) -> Links:
        return self._call(lambda: self.kind.links(name, spec), "links")

    def requirements(self, spec: Spec) -> Requirements:
        return self._call(lambda: self.kind.requirements(spec), "requirements")

    def validate(self, name: str, spec: Spec) -> Iterable[str]:
        return self._call(lambda: tuple(self.kind.validate(name, spec)), "validate")

    def check_inputs(self, spec: Spec, resources: Mapping[Address, Spec]) -> Iterable[str]:
        return self._call(lambda: tuple(self.kind.check_inputs(spec, resources)), "check_inputs")

    def observe(self, context: Any, desired: Mapping[str, Spec]) -> Mapping[str, Observed[Any]]:
        found = self._call(lambda: dict(self.kind.observe(context, desired)), "observe", ObserveError)
        wrong = next((value for value in found.values() if not isinstance(value, Observed)), None)
        if wrong is not None:
            raise ObserveError(self.plugin.describe_problem(f"returned {type(wrong).__name__} from observe and not Observed"))
        return found

    def prefetch(self, context: Any, desired: Mapping[str, Spec]) -> Callable[[], object] | None:
        return self._call(lambda: self.kind.prefetch(context, desired), "prefetch", ObserveError)

    def plan(self, change: Change[Any]) -> Iterable[Action]:
        return self._call(lambda: tuple(self.kind.plan(change)), "plan")

    def apply(self, context: Any, action: Action) -> Made | None:
        return self._call(lambda: self.kind.apply(context, action), "apply", ApplyError)

    def commands(self, action: Action) -> Iterable[Command | Comment]:
        return self._call(lambda: tuple(self.kind.commands(action)), "commands")

    def describe(self, member: JsonObject) -> MemberText:
        return self._call(lambda: self.kind.describe(member), "describe")

    def _call(self, call: Callable[[], R], method: str, error_class: type[ReconcileError] = PluginError) -> R:
        try:
            return call()
        except (ReconcileError, Interrupted):
            raise
        except Exception as error:  # the code of another package may raise anything
            problem = f"raised {type(error).__name__} in {method}: {error}"
            raise error_class(self.plugin.describe_problem(problem), ("report this to the package's authors",)) from error
