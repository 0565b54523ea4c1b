"""What a check records of the differences of one resource: texts, counts, and a fingerprint that changes with the difference."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.engine.commands import REPO
from reconciler.engine.kind import Kind
from reconciler.engine.model import Action, Address, Difference, DifferenceKind, JsonObject, Observed
from reconciler.engine.plan import Entry, Plan
from reconciler.watch.check_result import UNKNOWN_KIND, FoundDifference
from reconciler.watch.digests import digest

MOST_MEMBERS = 100
"""Members of a difference that are recorded."""
LONGEST_VALUE = 80
"""Characters of a value that are shown."""
PROGRESS = {"ok"}
"""Numbers of a member that grow by themselves, so that they don't make it another difference."""


def list_own_differences(plan: Plan, entry: Entry) -> Iterator[Difference]:
    """Yield the differences of the live systems; that this machine can't repair one is not a difference of its own."""
    unmet = plan.unmet.get(entry.address)
    for difference in entry.differences:
        if difference.kind is not DifferenceKind.BLOCKED or difference.detail != unmet:
            yield difference


def find_differences(plan: Plan, entry: Entry) -> Iterator[FoundDifference]:
    """Yield what differs in one resource, or that it could not be checked.

    There is one item for each kind and field, because that is what has an age.
    """
    line = plan.state.lines.get(entry.address, 0)
    if entry.error is not None:
        yield FoundDifference(str(entry.address), UNKNOWN_KIND, "", str(entry.error), "", line=line, hints=entry.error.hints)
        return
    groups: dict[tuple[DifferenceKind, str], list[Difference]] = defaultdict(list)
    for difference in list_own_differences(plan, entry):
        if difference.kind is DifferenceKind.LATER and plan.differing:
            continue  # another resource differs, and this one is planned again once that has changed
        name = "" if difference.kind is DifferenceKind.WAITING else difference.field or ""
        groups[difference.kind, name].append(difference)
    commands = _find_commands(plan, entry)
    for (kind, name), group in groups.items():
        yield _merge(entry, plan.state.kind_of(entry.address), kind, name, group, line, commands)


def _merge(
    entry: Entry,
    table: Kind[Any, Any],
    kind: DifferenceKind,
    field: str,
    group: list[Difference],
    line: int,
    commands: tuple[str, ...],
) -> FoundDifference:
    members = tuple(member for difference in group for member in difference.members)
    awaited = [difference for difference in group if difference.awaited]
    if kind is DifferenceKind.WAITING and not awaited:
        # A rule that is replicating has one record, with its numbers of files; how many others there should be isn't known.
        rules = [member for member in members if "files" in member]
        count = sum(max(_number(rule, "files", 0) - _number(rule, "ok", 0), 0) for rule in rules) if rules else len(members)
        desired = sum(_number(rule, "files", 0) for rule in rules)
    else:
        count = sum(len(difference.members) for difference in (awaited or group))
        desired = max((d.desired for d in group if d.members and isinstance(d.desired, int)), default=0)
    nouns = {difference.field or "" for difference in group if difference.members and difference.desired}
    texts = [
        _text(difference, entry.actions, table) for difference in group if not (difference.awaited and len(group) > len(awaited))
    ]
    return FoundDifference(
        address=str(entry.address),
        kind=kind.value,
        field=field,
        text="; ".join(dict.fromkeys(texts)),
        fingerprint=_fingerprint(kind, field, group),
        count=count,
        desired=desired,
        members=tuple(dict(member) for member in members[:MOST_MEMBERS]),
        line=line,
        commands=commands,
        noun=nouns.pop() if len(nouns) == 1 else "",
        lacking=sum(difference.lacking for difference in group),
    )


def _number(member: JsonObject, key: str, default: int) -> int:
    value = member.get(key, default)
    return value if isinstance(value, int) else default


def _text(difference: Difference, actions: Iterable[Action], table: Kind[Any, Any]) -> str:
    lead = f"{difference.field}: " if difference.field else ""
    # Where actions are clearer than two values, what they do.
    steps = [action for action in actions if action.subject and action.changes_field == difference.field]
    match difference.kind:
        case DifferenceKind.MAKE if difference.field is None:
            return difference.detail or "missing"
        case DifferenceKind.MAKE:
            return f"{lead}{len(difference.members):,} of {difference.desired:,} {difference.detail}"
        case DifferenceKind.CHANGE if difference.detail:
            return f"{lead}{difference.detail}"
        case DifferenceKind.CHANGE if steps:
            return lead + "; ".join(f"{action.verb} {action.subject}: {action.reason}" for action in steps)
        case DifferenceKind.CHANGE:
            return f"{lead}{_compare_values(difference.observed, difference.desired, table)}"
        case DifferenceKind.WAITING if difference.awaited:
            return f"{lead}{len(difference.members):,} of {difference.desired:,} {difference.detail}"
        case _ if difference.uncounted:
            return f"{lead}{len(difference.members):,} {difference.detail}"
        case _:
            return f"{lead}{difference.detail}"


def _compare_values(observed: Any, desired: Any, table: Kind[Any, Any]) -> str:
    """Describe a change; of two long lists, only what one of them lacks."""
    texts = _value(observed, table), _value(desired, table)
    if max(map(len, texts)) <= LONGEST_VALUE or not (isinstance(observed, list) and isinstance(desired, list) and observed):
        return " → ".join(texts)
    missing, unwanted = ([item for item in one if item not in other] for one, other in ((desired, observed), (observed, desired)))
    parts = [f"{_value(items, table)} {word}" for items, word in ((missing, "missing"), (unwanted, "unwanted")) if items]
    return "; ".join(parts) or f"{len(desired):,} in another order"


def _value(value: Any, table: Kind[Any, Any]) -> str:
    if value is None or value == []:
        return "nothing"
    if isinstance(value, list):
        text = ", ".join(_value(item, table) for item in value)
    elif isinstance(value, Mapping):
        text = table.describe({key: inner for key, inner in value.items() if inner is not None}).text
    else:
        text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _fingerprint(kind: DifferenceKind, field: str, group: Iterable[Difference]) -> str:
    """Return a digest that changes with the difference, but not with its age or with the progress of a transfer."""
    if kind is DifferenceKind.WAITING:
        return digest([kind, field])
    parts = []
    for difference in group:
        members = sorted(json.dumps(_identity(member), sort_keys=True, default=str) for member in difference.members)
        values = [difference.observed, difference.desired] if kind is DifferenceKind.CHANGE else []
        parts.append([values, members, "" if members or values else difference.detail])
    return digest([kind, field, sorted(parts, key=repr)])


def _identity(member: JsonObject) -> JsonObject:
    return {key: value for key, value in member.items() if key not in PROGRESS}


def _find_commands(plan: Plan, entry: Entry) -> tuple[str, ...]:
    """Return commands that remove the differences of a resource."""
    observed: Observed[Any] | None = entry.observed
    repository = str(getattr(plan.state.resources.get(Address("repository", "")), "uri", REPO))
    elsewhere = [
        shlex.join(repository if word == REPO else word for word in command.words)
        for condition in (observed.conditions if observed else ())
        for command in condition.commands
    ]
    if not entry.actions:
        return tuple(elsewhere)
    return (shlex.join(["reconcile", "apply", str(plan.state.path), "--only", str(entry.address)]), *elsewhere)
