"""What an action takes that only the Science Pipelines have, said before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.engine.model import Id, Spec
from reconciler.engine.registry import discover


def unable(resources: Mapping[Id, Spec], ids: Iterable[Id]) -> dict[Id, str]:
    """Find resources that can't be made here.

    Parameters
    ----------
    resources : mapping
        Specs by address.
    ids : iterable of `Id`
        Those with something to be done.

    Returns
    -------
    unable : `dict`
        Why, by address.
    """
    commands: dict[Id, list[str]] = {}
    classes: dict[Id, list[str]] = {}
    for id in ids:
        kind, spec = discover()[id.kind], resources[id]
        commands[id] = list(kind.subcommands(spec))
        classes[id] = list(kind.imports(spec))
    if not any(commands.values()) and not any(classes.values()):
        return {}
    from reconciler.systems.butler.commands import missing_classes, missing_subcommands

    no_commands = set(missing_subcommands(sorted({name for names in commands.values() for name in names})))
    no_classes = set(missing_classes(sorted({name for names in classes.values() for name in names})))
    found = {}
    for id in commands:
        lacking = [f"butler {name}" for name in commands[id] if name in no_commands]
        lacking += [name for name in classes[id] if name in no_classes]
        if lacking:
            found[id] = f"needs the Science Pipelines, set up in this shell, for {', '.join(lacking)}"
    return found
