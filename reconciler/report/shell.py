"""The missing work as the commands that an operator would type, quoted and in order."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from reconciler.engine.plan import Plan, once_delivered
from reconciler.engine.registry import discover


def script(plan: Plan, repository: str | None) -> Iterator[str]:
    """Write a plan as a shell script.

    Parameters
    ----------
    plan : `reconciler.engine.plan.Plan`
        What is to be done.
    repository : `str` or `None`
        Where the Butler repository is.

    Yields
    ------
    line : `str`
        Of the script.
    """
    yield "#!/bin/sh"
    yield f"# {plan.state.name}: what reconcile apply {plan.state.path} would do, as commands"
    yield "set -eu"
    if repository is not None:
        yield f"export REPO={shlex.quote(repository)}"
    if plan.in_sync:
        yield "# nothing to do"
    for entry in plan.entries:
        waits = [difference for difference in entry.differences if difference.sort in ("waiting", "blocked")]
        if not entry.actions and not waits and entry.error is None:
            continue
        yield ""
        yield f"# {entry.id} ({plan.state.where(entry.id)})" + (f": {entry.actions[0].reason}" if entry.actions else "")
        if entry.error is not None:
            yield f"# could not be checked: {' '.join(str(entry.error).split())}"
        yield from (f"# {difference.sort}: {difference.detail}" for difference in waits if not difference.members)
        for condition in entry.seen.conditions if entry.seen else ():
            yield from (f"#   at the source: {words(command)}" for command in condition.commands)
        for action in once_delivered(entry):
            commands = list(discover()[action.id.kind].commands(action))
            yield from map(words, commands)
            if not commands:
                yield f"# {action.verb} {action.id}: no butler or rucio command does this; reconcile apply does"


def words(command: Sequence[str]) -> str:
    """Quote a command; ``$REPO`` stays a variable, and what begins with ``#`` a comment.

    Parameters
    ----------
    command : sequence of `str`
        Its words.

    Returns
    -------
    line : `str`
        For a shell.
    """
    if command and command[0] == "#":
        return " ".join(command)
    return " ".join('"$REPO"' if word == "$REPO" else shlex.quote(word) for word in command)
