"""Which line of a TOML file says what: tomli tells values, and an operator needs lines.

The text is known to be valid TOML when it comes here, so the scanner only has to find its way, not to judge.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]

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


def locate(text: str) -> dict[Path, int]:
    """Find the line of every table, key and array element.

    Parameters
    ----------
    text : `str`
        Valid TOML.

    Returns
    -------
    lines : `dict`
        Line numbers from 1, by path: keys are `str`, positions in arrays `int`.
    """
    return _Scanner(text).scan()


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """Look up a line, of the nearest thing around where the thing itself is not in the file.

    Parameters
    ----------
    lines : `dict`
        From `locate`.
    path : tuple
        What to look up.

    Returns
    -------
    line : `int` or `None`
        `None` where not even its table is in the file.
    """
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip(_BLANK) < len(self.text):
            if self.text.startswith("[[", self.at):
                self.at += 2
                path = self._key()
                number = self.counts.get(path, -1) + 1
                self.counts[path] = number
                table = (*self._inside(path[:-1]), path[-1], number)
                self._note(table)
                self._past("]]")
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._inside(self._key())
                self._note(table)
                self._past("]")
            else:
                start = self.at
                self._assignment(table)
                if self.at == start:
                    self.at += 1
        return self.lines

    def _inside(self, path: Path) -> Path:
        """Put in the number of the last element where a table lies in an array of tables."""
        made: Path = ()
        plain: Path = ()
        for part in path:
            plain, made = (*plain, part), (*made, part)
            if plain in self.counts:
                made = (*made, self.counts[plain])
        return made

    def _assignment(self, table: Path) -> None:
        at = self.at
        path = (*table, *self._key())
        self._note(path, at)
        self._skip(_SPACE)
        if self.text.startswith("=", self.at):
            self.at += 1
            self._skip(_SPACE)
            self._value(path)

    def _value(self, path: Path) -> None:
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self.at += 1
            number = 0
            while self._skip(_BLANK) < len(self.text) and self.text[self.at] != "]":
                self._note((*path, number))
                self._value((*path, number))
                number += 1
                self._comma()
            self.at += 1
        elif first == "{":
            self.at += 1
            while self._skip(_BLANK) < len(self.text) and self.text[self.at] != "}":
                self._assignment(path)
                self._comma()
            self.at += 1
        else:
            match = _STRING.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            self.at = match.end() if match else self.at + 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self.text.startswith(",", self.at):
            self.at += 1

    def _key(self) -> Path:
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

    def _past(self, sign: str) -> None:
        self._skip(_SPACE)
        if self.text.startswith(sign, self.at):
            self.at += len(sign)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return self.at

    def _note(self, path: Path, at: int | None = None) -> None:
        line = self.text.count("\n", 0, self.at if at is None else at) + 1
        for depth in range(1, len(path) + 1):  # a.b.c makes a and a.b too
            self.lines.setdefault(path[:depth], line)


def _unquote(text: str) -> str:
    if text.startswith("'"):
        return text.strip("'")

    def plain(match: re.Match[str]) -> str:
        if match[1] or match[2]:
            return chr(int(match[1] or match[2], 16))
        return _ESCAPED.get(match[3], match[3])

    return _ESCAPE.sub(plain, text[1:-1])
