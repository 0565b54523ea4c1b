"""A plan as a shell script: the `butler` and `rucio` commands that an operator would type, quoted and in order."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from reconciler.engine.model import Command, Comment, DifferenceKind
from reconciler.engine.plan import Entry, Plan, plan_once_delivered


def script(plan: Plan, repository: str | None) -> Iterator[str]:
    """Yield a shell script with the commands closest to a plan; `repository` is the URI that ``$REPO`` stands for."""
    yield "#!/bin/sh"
    yield f"# {plan.state.name}: what reconcile apply {plan.state.path} would do, as commands"
    yield "set -eu"
    if repository is not None:
        yield f"export REPO={shlex.quote(repository)}"
    if plan.in_sync:
        yield "# nothing to do"
    for entry in plan.entries:
        yield from _entry(plan, entry)


def quote(command: Command | Comment) -> str:
    """Quote a command for a shell; ``$REPO`` stays a variable."""
    if isinstance(command, Comment):
        return f"# {command.text}"
    return " ".join('"$REPO"' if word == "$REPO" else shlex.quote(word) for word in command.words)


def _entry(plan: Plan, entry: Entry) -> Iterator[str]:
    hindrances = [d for d in entry.differences if d.kind in (DifferenceKind.WAITING, DifferenceKind.BLOCKED)]
    if not entry.actions and not hindrances and entry.error is None:
        return
    yield ""
    reason = f": {entry.actions[0].reason}" if entry.actions else ""
    yield f"# {entry.address} ({plan.state.where(entry.address)}){reason}"
    if entry.error is not None:
        yield f"# could not be checked: {' '.join(str(entry.error).split())}"
    yield from (f"# {difference.kind}: {difference.detail}" for difference in hindrances if not difference.members)
    for condition in entry.observed.conditions if entry.observed else ():
        yield from (f"#   at the source: {quote(command)}" for command in condition.commands)
    for action in plan_once_delivered(plan.state, entry):
        commands = list(plan.state.kind_of(action.address).commands(action))
        yield from map(quote, commands)
        if not commands:
            yield f"# {action.verb} {action.address}: no butler or rucio command does this; reconcile apply does"
