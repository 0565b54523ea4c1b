"""The commands that an operator could type in place of an action."""

from __future__ import annotations

from dataclasses import dataclass


class Variable(str):
    """A word of a command that stays a variable of the shell, such as ``$REPO``; every other word is quoted."""

    __slots__ = ()


REPO = Variable("$REPO")
"""Stands for the repository in a command."""


@dataclass(frozen=True, init=False)
class Command:
    """The words of a command that an operator could type; `REPO` stands for the repository.

    Parameters
    ----------
    *words : `str`
        The program and its arguments, unquoted.
    """

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)


@dataclass(frozen=True)
class Comment:
    """A comment in a shell script, for what no command does."""

    text: str
