"""Report, before anything runs, which actions need Science Pipelines commands or classes that aren't installed here."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reconciler.engine.graph import Graph
from reconciler.engine.kind import Context
from reconciler.engine.model import Address, DesiredState


def find_unmet_requirements(state: DesiredState, context: Context, addresses: Iterable[Address]) -> dict[Address, str]:
    """Return why the actions of some addresses can't be executed on this machine."""
    requirements = {address: state.kind_of(address).requirements(state.resources[address]) for address in addresses}
    commands = {address: list(needed.butler_commands) for address, needed in requirements.items()}
    classes = {address: list(needed.classes) for address, needed in requirements.items()}
    formatters = {address: list(needed.default_formatters) for address, needed in requirements.items()}
    missing_commands = context.find_missing_commands(sorted({name for names in commands.values() for name in names}))
    missing_classes = context.find_missing_classes(sorted({name for names in classes.values() for name in names}))
    missing_formatters = context.find_missing_formatters(sorted({name for names in formatters.values() for name in names}))
    unmet = {}
    for address in requirements:
        missing = [f"butler {name}" for name in commands[address] if name in missing_commands]
        missing += [name for name in classes[address] if name in missing_classes]
        missing += [f"the default formatter of {name}" for name in formatters[address] if name in missing_formatters]
        if missing:
            unmet[address] = f"needs the Science Pipelines, set up in this shell, for {', '.join(missing)}"
    return unmet


def find_absent_needs(
    context: Context, graph: Graph, addresses: Iterable[Address], chosen: Collection[Address]
) -> dict[Address, str]:
    """Return which resource that wasn't chosen an address needs, where what it provides doesn't exist."""
    outside = {
        address: {other: token for other, token in graph.needs.get(address, {}).items() if other not in chosen}
        for address in addresses
    }
    existing = context.find_existing({token for needs in outside.values() for token in needs.values() if ":" in token})
    absent = {}
    for address, needs in outside.items():
        missing = [str(other) for other, token in needs.items() if token != str(other) and token not in existing]
        if missing:
            verb = "doesn't" if len(missing) == 1 else "don't"
            absent[address] = (
                f"needs {', '.join(missing)}, which {verb} exist and {'is' if len(missing) == 1 else 'are'} not selected"
            )
    return absent
