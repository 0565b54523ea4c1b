"""The mistakes in tests/cases/mistakes.toml: made in a folder, run, and written as the table of docs/reference/mistakes.md."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
CASES = ROOT / "tests" / "cases" / "mistakes.toml"
PAGE = ROOT / "docs" / "reference" / "mistakes.md"
NAME = "campaign.toml"
HEAD = '[reconcile]\nversion = 1\n\n[repository]\nuri = "repo"\n'
HEAD_OF_RUCIO = "[reconcile]\nversion = 1\n"
HOME = "/home/you"
BEGIN, END = "<!-- the table is written by tests/mistakes.py -->\n", "<!-- end of the table -->\n"


@dataclass(frozen=True)
class Mistake:
    """A mistake, the command that reports it, and what that prints.

    Parameters
    ----------
    what : `str`
        The mistake, for the table.
    state : `str`
        The state file without its head, or all of it unless ``head``.
    message : `list` [`str`]
        The lines that report it, without ``error:``; paths below the folder are shown as ``/home/you/…``.
    code : `int`
        The exit code.
    command : `str`
        The command, with its options.
    world : `str`
        What exists besides the files; empty for nothing.
    files : `dict`
        Contents of further files by name.
    head : `bool`
        Whether the state is preceded by the usual head.
    """

    what: str
    state: str
    message: list[str]
    code: int
    command: str = "validate"
    world: str = ""
    files: dict[str, str] = field(default_factory=dict)
    head: bool = True

    def write(self, folder: Path) -> Path:
        """Make the mistake in a folder, and return the state file."""
        for name, text in self.files.items():
            (folder / name).write_text(text)
        path = folder / NAME
        head = HEAD_OF_RUCIO if self.world == "rucio" else HEAD
        path.write_text(head + self.state if self.head else self.state.lstrip())
        return path


def read_mistakes() -> list[Mistake]:
    """Return all mistakes in the order of the file."""
    return [Mistake(**{"message": [], "code": 1, **values}) for values in tomllib.loads(CASES.read_text())["mistake"]]


def shorten(text: str, folder: Path) -> str:
    """Return a message as it is shown, wherever the folder is."""
    return re.sub(r" +", " ", text.replace(str(folder.resolve()), HOME).replace(str(folder), HOME)).strip()


def write_table(mistakes: list[Mistake]) -> str:
    """Return the table in Markdown."""
    rows = ["| mistake | command | message | exit code |", "|---|---|---|---|"]
    for mistake in mistakes:
        message = "<br>".join(f"`{line}`".replace("|", "\\|") for line in mistake.message)
        rows.append(f"| {mistake.what} | `{mistake.command.split()[0]}` | {message} | {mistake.code} |")
    return "\n".join(rows) + "\n"


def replace_table(page: str, table: str) -> str:
    """Return the page with another table."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + "\n" + table + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(replace_table(PAGE.read_text(), write_table(read_mistakes())))
