"""What is probably wrong where a file isn't TOML: the mistakes of those who know YAML, JSON or Python better.

A parser reports what it expected, which is often not what was forgotten. Only the text around the error is examined here, never
the parser's message, so this has no part in whether a file is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_HEADER = re.compile(r"\s*\[{1,2}(?P<name>[^\[\]]*)\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"""\s*(?P<key>[\w-]+|"[^"]*"|'[^']*')\s*=\s*(?P<value>.*)$""")
_BARE_PART = re.compile(r"""\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*""")
_YAML = re.compile(r"\s*(?P<key>[\w-]+)\s*:(?:\s+(?P<value>\S.*)?)?$")
_WORD = re.compile(r"(?P<word>[A-Za-z_/~.][^\s,#\]}]*)")
_VALUES = re.compile(r"(true|false|[+-]?(inf|nan))\b")
_NO_COMMA = re.compile(r"""("[^"]*"|'[^']*'|\d+)\s+("[^"]*"|'[^']*'|\d+)""")


def explain_toml_error(text: str, line: int) -> str:
    """Return what is probably wrong near a line, counted from 1; an empty string if nothing is recognised."""
    lines = text.splitlines()
    if text.lstrip().startswith("{"):
        return "this is JSON, and a state file is TOML"
    found = lines[line - 1] if 0 < line <= len(lines) else ""
    return next(_explain_line(found, lines[: line - 1]), "")


def _explain_line(line: str, before: Sequence[str]) -> Iterator[str]:
    if header := _HEADER.match(line):
        yield from _explain_header(header["name"].strip(), before)
    elif key := _KEY.match(line):
        yield from _explain_key(key["key"], key["value"], before)
    elif yaml := _YAML.match(line):
        yield f"this is YAML; in TOML it is {yaml['key']} = {yaml['value'] or '…'}, or a table [{yaml['key']}]"


def _explain_header(name: str, before: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(before, 1):
        header = _HEADER.match(line)
        if header and _split(header["name"]) == _split(name):
            yield f"the table [{name}] is there twice, first in line {number}"
    table, dot, rest = name.partition(".")
    if dot and not re.fullmatch(rf"{_BARE_PART.pattern}(?:\.{_BARE_PART.pattern})*", name):
        bare = rest.strip("\"'")
        yield f'a name with signs other than letters, digits, "-" and "_" is in quotes: [{table}."{bare}"]'


def _explain_key(key: str, value: str, before: Sequence[str]) -> Iterator[str]:
    for number in range(len(before), 0, -1):
        if _HEADER.match(before[number - 1]):
            break
        earlier = _KEY.match(before[number - 1])
        if earlier and _split(earlier["key"]) == _split(key):
            yield f"the key {key} is there twice in this table, first in line {number}"
    if _NO_COMMA.search(value):
        yield "a comma is missing between two values"
    word = _WORD.match(value)
    if word and not _VALUES.match(value):
        right = {"True": "true", "False": "false"}.get(word["word"])
        yield f"TOML has {right}, not {word['word']}" if right else f'a text is in quotes: {key} = "{word["word"]}"'


def _split(name: str) -> list[str]:
    """Return the parts of a name without their quotes."""
    return [part.strip().strip("\"'") for part in re.findall(r"""(?:"[^"]*"|'[^']*'|[^.])+""", name)]
