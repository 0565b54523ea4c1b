"""A plan as a script for bash: the `butler` and `rucio` commands that an operator would type, quoted and in order."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from reconciler.engine.commands import Command, Comment, Variable
from reconciler.engine.model import DifferenceKind
from reconciler.engine.plan import Entry, Plan, plan_once_delivered
from reconciler.errors import ReconcileError
from reconciler.printable import escape, quote
from reconciler.redaction import redact


def script(
    plan: Plan, repository: str | None, environment: Mapping[str, str] | None = None, refusal: ReconcileError | None = None
) -> Iterator[str]:
    """Yield the lines of a script for a plan, as if all that is waited for had been delivered.

    A comment replaces what no command can do, and names what is waited for. To name files, folders on storage may be listed.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    repository : `str` or `None`
        The URI that ``$REPO`` stands for.
    environment : `Mapping`, optional
        Variables that the commands need, such as ``RUCIO_ACCOUNT``.
    refusal : `ReconcileError`, optional
        Why the plan can't be executed; the script then begins with it, and ends before its first command.
    """
    yield "#!/usr/bin/env bash"
    yield comment(f"{plan.state.name}: what reconcile apply {plan.state.path} would do, as commands")
    yield "set -eu"
    if refusal is not None:
        yield from (comment(text) for text in (f"refused: {refusal}", *refusal.hints))
        yield "exit 1"
    variables = {} if repository is None else {"REPO": repository}
    for name, value in {**variables, **(environment or {})}.items():
        yield f"export {name}={quote(value)}"
    if plan.in_sync:
        yield comment("nothing to do")
    for entry in plan.entries:
        yield from _entry(plan, entry)


def comment(text: str) -> str:
    """Return a comment of one line, whatever the text contains."""
    return f"# {escape(redact(text))}"


def format_command(command: Command | Comment) -> str:
    """Return a command as one line for bash; a comment if no shell can run it, or if it contains a credential."""
    if isinstance(command, Comment):
        return comment(command.text)
    try:
        line = " ".join(f'"{word}"' if isinstance(word, Variable) else quote(word) for word in command.words)
    except ValueError as error:
        return comment(f"{shlex.join(command.words)}: can't be typed: a word {error}; reconcile apply does this")
    if redact(line) != line or any(redact(word) != word for word in command.words):
        return comment(f"{line}: not a command, because it contains a credential; reconcile apply does this")
    return line


def _entry(plan: Plan, entry: Entry) -> Iterator[str]:
    hindering = (DifferenceKind.WAITING, DifferenceKind.BLOCKED, DifferenceKind.CONFLICT)
    hindrances = [d for d in entry.differences if d.kind in hindering]
    if not entry.actions and not hindrances and entry.error is None:
        return
    yield ""
    reason = f": {entry.actions[0].reason}" if entry.actions else ""
    yield comment(f"{entry.address} ({plan.state.where(entry.address)}){reason}")
    if entry.error is not None:
        yield comment(f"could not be checked: {'; '.join(entry.error.problems)}")
    yield from (comment(f"{difference.kind}: {difference.detail}") for difference in hindrances if not difference.members)
    for condition in entry.observed.conditions if entry.observed else ():
        yield from (comment(f"  at the source: {format_command(command)}") for command in condition.commands)
    if not entry.actions and entry.has(DifferenceKind.BLOCKED, DifferenceKind.CONFLICT):
        return
    for action in plan_once_delivered(plan.state, entry):
        commands = list(plan.state.kind_of(action.address).commands(action))
        yield from map(format_command, commands)
        if not commands:
            yield comment(f"{action.verb} {action.address}: no butler or rucio command does this; reconcile apply does")
