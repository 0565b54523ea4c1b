"""What other packages add through entry points: found by name without importing anything, and loaded with one clear error.

An entry point is loaded only when its name is used, so a broken package doesn't affect what doesn't need it.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@functools.cache
def find_plugins(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Return the entry points of a group by name; several only if several packages define the same name."""
    from importlib.metadata import entry_points

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry_point in entry_points(group=group):
        found[entry_point.name] = (*found.get(entry_point.name, ()), entry_point)
    return found


def name_package(entry_point: EntryPoint) -> str:
    """Return the name and the version of the package that defines an entry point."""
    return f"{entry_point.dist.name} {entry_point.dist.version}" if entry_point.dist is not None else entry_point.value


@dataclass(frozen=True)
class Plugin:
    """One thing that another package adds.

    Parameters
    ----------
    what : `str`
        What it is, such as ``table "door"``.
    entry_point : `importlib.metadata.EntryPoint`
        Where it is defined.
    """

    what: str
    entry_point: EntryPoint

    @classmethod
    def single(
        cls, name: str, plugins: Mapping[str, tuple[EntryPoint, ...]], noun: str, built_in: Collection[str] = ()
    ) -> Plugin:
        """Return the only plugin of a name.

        Raises
        ------
        reconciler.errors.PluginError
            If several packages define the name, or it is built in.
        """
        found = plugins[name]
        packages = sorted(map(name_package, found))
        if name in built_in:
            text = f'the {noun} "{name}" is built in, and {" and ".join(packages)} defines it too'
            raise PluginError(text, (f"uninstall {found[0].dist.name if found[0].dist else packages[0]}",))
        if len(found) > 1:
            raise PluginError(f'the {noun} "{name}" is defined by {" and by ".join(packages)}', ("uninstall one of them",))
        return cls(f'{noun} "{name}"', found[0])

    @property
    def package(self) -> str:
        """The name and the version of the package."""
        return name_package(self.entry_point)

    def describe_problem(self, problem: str) -> str:
        """Return a message that names the package."""
        return f"the {self.what} of {self.package} {problem}"

    def error(self, problem: str) -> PluginError:
        """Return an error that names the package."""
        return PluginError(self.describe_problem(problem), ("report this to the package's authors, or uninstall it",))

    def load(self) -> Any:
        """Import what the entry point points to.

        Raises
        ------
        reconciler.errors.PluginError
            If it can't be imported.
        """
        try:
            return self.entry_point.load()
        except (Exception, SystemExit) as error:  # importing the code of another package may raise anything
            raise self.error(f"can't be loaded: {type(error).__name__}: {error}") from error
