"""Members of bulk resources as lines: a group shares a line, and a list that is cut ends with how many more there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from reconciler.engine.kind import Kind, MemberText
from reconciler.engine.model import JsonObject
from reconciler.report.formatting import plural

MOST_LINES = 10


def list_members(kind: Kind[Any, Any], members: Sequence[JsonObject], most: int = MOST_LINES) -> Iterator[str]:
    """Yield a line for each group, in the order of their names; if a member has no group, a line for each member as they come.

    Parameters
    ----------
    kind : `Kind`
        The kind that describes them.
    members : `Sequence` [`JsonObject`]
        The members.
    most : `int`
        Largest number of these lines; if there are more, a last line counts the rest.
    """
    texts = [kind.describe(member) for member in members]
    if texts and all(text.group for text in texts):
        lines, noun = _list_groups(texts), "group"
    else:
        lines, noun = [text.text for text in texts], "member"
    yield from lines[:most]
    if len(lines) > most:
        yield f"… and {plural(len(lines) - most, f'more {noun}')}"


def _list_groups(texts: Sequence[MemberText]) -> list[str]:
    groups: dict[str, list[MemberText]] = defaultdict(list)
    for text in texts:
        groups[text.group].append(text)
    lines = []
    for group, members in sorted(groups.items()):
        noun = members[0].noun if len(members) == 1 else f"{members[0].noun}s"
        items = ", ".join(member.text for member in sorted(members, key=lambda member: member.position))
        lines.append(f"{group}   {noun} {items}")
    return lines
