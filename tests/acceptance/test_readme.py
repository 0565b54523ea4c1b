"""The README's examples work: its state file is valid, and its command lines exist with their options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from conftest import ROOT

from reconciler.cli import main
from reconciler.state.loader import load
from reconciler.state.schema import known_kinds

TEXT = (ROOT / "README.md").read_text()


def command_lines(text: str) -> Iterator[str]:
    """Yield the command lines that begin with ``reconcile``, from indented blocks and from inline code."""
    blocks = re.findall(r"^    (reconcile .*)$", text, re.MULTILINE)
    inline = re.findall(r"`(reconcile\s[^`]*)`", text)
    for line in (*blocks, *inline):
        yield " ".join(line.split("  #")[0].split())


def find_command(words: list[str]) -> click.Command:
    """Return the command that a command line calls; raises `KeyError` if there is none."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    return command


def check(line: str) -> None:
    """Raise an error unless the command exists, has all options of the line, and their values are accepted."""
    words = [word for word in shlex.split(line)[1:] if word != "…"]
    command = find_command(words)
    has_arguments = any(isinstance(parameter, click.Argument) and parameter.required for parameter in command.params)
    if has_arguments and not any(not word.startswith("-") for word in words):
        words.append("directory")  # text mentions commands without their arguments
    if words:
        command.make_context(command.name, words)


LINES = sorted(set(command_lines(TEXT)))


def test_the_state_file_in_the_readme_is_valid_once_the_elided_tables_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "readme.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)[1])  # type: ignore[index]
    assert len(load(path).resources) == 17


def test_the_readme_names_every_kind() -> None:
    assert [name for name in known_kinds() if f"`{name}`" not in TEXT] == []


def test_the_readme_shows_every_command() -> None:
    shown = {line.split()[1] for line in LINES if len(line.split()) > 1}
    assert shown == set(main.commands)


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_in_the_readme_is_accepted(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Folders of the examples don't exist; everything else about their arguments is checked.
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)
    check(line)


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--?[a-z-]+)", TEXT))))
def test_every_option_that_the_readme_names_belongs_to_a_command(option: str) -> None:
    def all_options(command: click.Command) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for child in getattr(command, "commands", {}).values():
            yield from all_options(child)

    assert option in set(all_options(main))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("reconcile log --adress 'chain.*'", click.NoSuchOption),
        ("reconcile logs", KeyError),
        ("reconcile playground start /data", KeyError),
        ("reconcile apply x.toml --wait soon", click.BadParameter),
        ("reconcile validate x.toml --yes", click.NoSuchOption),
    ],
)
def test_the_check_of_command_lines_finds_mistakes(line: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        check(line)
