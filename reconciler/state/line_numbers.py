"""Line numbers of the keys of a TOML file, which tomli doesn't report.

The scanner reads only text that tomli has already parsed, so it doesn't check syntax.
"""

from __future__ import annotations

import re
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys, and positions in arrays, that lead to a value."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]\}\s#]+(?:[ ](?=\d\d:)[^,\]\}\s#]+)?")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "e": "\x1b"}


def find_lines(text: str) -> dict[KeyPath, int]:
    """Return the line number of every table, key and array element of valid TOML, counted from 1."""
    return _Scanner(text).scan()


def find_line(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of a path, or of the closest enclosing table that the file contains; `None` if there is none."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


class _Scanner:
    """One pass over the text; ``at`` is the current position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self.counts: dict[KeyPath, int] = {}

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text.startswith("[[", self.at):
                self.at += 2
                path = self._read_key()
                array = (*self._insert_positions(path[:-1]), *path[-1:])
                self.counts[array] = self.counts.get(array, -1) + 1
                table = (*array, self.counts[array])
                self._record(table)
                self._skip_text("]]")
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._insert_positions(self._read_key())
                self._record(table)
                self._skip_text("]")
            else:
                self._read_assignment(table)
        return self.lines

    def _insert_positions(self, path: KeyPath) -> KeyPath:
        """Insert the position of the last element after each part of the path that is an array of tables."""
        made: KeyPath = ()
        for part in path:
            made = (*made, part)
            if made in self.counts:
                made = (*made, self.counts[made])
        return made

    def _read_assignment(self, table: KeyPath) -> None:
        at = self.at
        path = (*table, *self._read_key())
        self._record(path, at)
        self._skip(_SPACE)
        if self.text.startswith("=", self.at):
            self.at += 1
            self._skip(_SPACE)
            self._read_value(path)
        elif self.at == at:
            self.at += 1  # never stand still, whatever the text is

    def _read_value(self, path: KeyPath) -> None:
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self.at += 1
            number = 0
            while self._skip(_BLANK) < len(self.text) and self.text[self.at] != "]":
                self._record((*path, number))
                self._read_value((*path, number))
                number += 1
                self._skip_comma()
            self.at += 1
        elif first == "{":
            self.at += 1
            while self._skip(_BLANK) < len(self.text) and self.text[self.at] != "}":
                self._read_assignment(path)
                self._skip_comma()
            self.at += 1
        else:
            match = _STRING.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            self.at = match.end() if match else self.at + 1

    def _skip_comma(self) -> None:
        self._skip(_BLANK)
        if self.text.startswith(",", self.at):
            self.at += 1

    def _read_key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            if match := _BARE.match(self.text, self.at):
                parts.append(match[0])
            elif match := _STRING.match(self.text, self.at):
                parts.append(_unquote(match[0]))
            else:
                break
            self.at = match.end()
            self._skip(_SPACE)
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return tuple(parts)

    def _skip_text(self, expected: str) -> None:
        self._skip(_SPACE)
        if self.text.startswith(expected, self.at):
            self.at += len(expected)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return self.at

    def _record(self, path: KeyPath, at: int | None = None) -> None:
        line = self.text.count("\n", 0, self.at if at is None else at) + 1
        for depth in range(1, len(path) + 1):  # a.b.c also defines a and a.b
            self.lines.setdefault(path[:depth], line)


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text.strip("'")

    def replace(match: re.Match[str]) -> str:
        if match[1] or match[2]:
            return chr(int(match[1] or match[2], 16))
        return _ESCAPED.get(match[3], match[3])

    return _ESCAPE.sub(replace, text[1:-1])
