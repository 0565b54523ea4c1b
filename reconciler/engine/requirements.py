"""Report, before anything runs, which actions need Science Pipelines commands or classes that aren't installed here."""

from __future__ import annotations

from collections.abc import Iterable

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
