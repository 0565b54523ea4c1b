"""Every command of the documentation works and prints what the page shows; generated pages are complete."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from conftest import ROOT, STACK
from docs_pages import Reader, agrees, check_setup, find_unchecked, read_steps, simplify

from reconciler.cli import main
from reconciler.playground.up import down
from reconciler.playground.world import World

DOCS = ROOT / "docs"
GENERATED = {DOCS / "reference" / "state-file.md", DOCS / "reference" / "commands.md"}
PAGES = sorted({*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"} - GENERATED)


def needs_a_playground(page: Path) -> bool:
    return "$ reconcile playground up" in page.read_text()


def page_parameters(*, slow: bool) -> list[object]:
    """The pages that have commands or files, each with its path as its name, but those that another test follows."""
    followed = [page for page in PAGES if not page.read_text().startswith("<!-- followed by: tests/")]
    pages = [page for page in followed if needs_a_playground(page) is slow and any(read_steps(page.read_text()))]
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


@pytest.fixture
def reader(request: pytest.FixtureRequest, worlds: Path) -> Iterator[Reader]:
    """A reader with the examples of the source folder, and no playground."""
    folder = worlds / f"docs-{abs(hash(request.node.name)) % 10**6}"
    folder.mkdir()
    shutil.copytree(ROOT / "state", folder / "state")
    environment = os.environ | STACK | {"XDG_STATE_HOME": str(folder / "xdg")}
    found = Reader(folder, environment)
    found.add_to_path(ROOT)
    yield found
    for record in folder.glob("*/playground.json"):
        down(World(record.parent))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("page", page_parameters(slow=False))
def test_the_commands_of_a_page_work_and_print_what_it_shows(page: Path, reader: Reader) -> None:
    reader.follow(page.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("page", page_parameters(slow=True))
def test_the_commands_of_a_page_work_in_a_playground(page: Path, reader: Reader) -> None:
    reader.follow(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_shows_commands_in_a_block_that_is_not_run(page: Path) -> None:
    assert find_unchecked(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists() and page.parent / target not in GENERATED]
    assert [target for target in missing if (page.parent / target).resolve() not in GENERATED] == []


def mentioned_commands(text: str) -> Iterator[str]:
    """Yield the command lines of ``reconcile`` that a text mentions outside its blocks."""
    for line in re.findall(r"`(reconcile\s[^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        yield " ".join(line.split())


def test_a_page_may_name_an_option_without_its_value() -> None:
    check_mention("reconcile diff --format")


def find_command(words: list[str]) -> click.Command:
    """Return the command that a command line calls; raises `KeyError` if there is none."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    return command


def check_mention(line: str) -> None:
    """Raise an error unless the command exists, has all options of the line, and their values are accepted."""
    words = [word for word in shlex.split(line)[1:] if word not in ("…", "COMMAND")]
    command = find_command(words)
    if words and words != ["--version"]:
        try:
            command.make_context(command.name, list(words))
        except click.BadOptionUsage as error:
            if error.option_name != words[-1]:  # text mentions options without their values
                raise


MENTIONS = sorted({line for page in PAGES for line in mentioned_commands(page.read_text())})
OPTIONS = sorted({option for page in PAGES for option in re.findall(r"`(--?[a-z-]+)", page.read_text())})


@pytest.mark.parametrize("line", MENTIONS)
def test_a_command_that_a_page_mentions_is_accepted(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Files and folders of the examples don't exist; everything else about the arguments is checked.
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)
    check_mention(line)


OPTIONS_OF_PIPELINES = set(re.findall(r"--[a-z-]+", (ROOT / "tests/cases/science_pipelines_options.toml").read_text()))
"""Options of ``butler`` commands that pages name, such as ``--skip-conflicting`` of define-visits."""


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_a_page_names_belongs_to_a_command(option: str) -> None:
    def all_options(command: click.Command) -> Iterator[str]:
        for parameter in command.get_params(click.Context(command)):
            yield from (*parameter.opts, *parameter.secondary_opts)
        for child in getattr(command, "commands", {}).values():
            yield from all_options(child)

    assert option in set(all_options(main)) | OPTIONS_OF_PIPELINES


def test_the_guides_show_every_command() -> None:
    used = {
        step.command.split()[1] for page in PAGES for step in read_steps(page.read_text()) if step.command[:10] == "reconcile "
    }
    assert used == set(main.commands)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("reconcile log --adress 'chain.*'", click.NoSuchOption),
        ("reconcile logs", KeyError),
        ("reconcile playground start /data", KeyError),
        ("reconcile apply x.toml --wait soon", click.BadParameter),
        ("reconcile validate x.toml --yes", click.NoSuchOption),
        ("reconcile diff --format --stats", click.BadParameter),
    ],
)
def test_a_mention_of_a_wrong_command_is_found(line: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_mention(line)


PAGE = """
```{code-block} toml
:caption: a.toml

x = 1
```

```console
$ cat a.toml
x = 1
$ cat none.toml
...
$ echo $?
1
```
"""


def test_a_reader_saves_files_and_compares_output_and_exit_codes(tmp_path: Path) -> None:
    Reader(tmp_path, dict(os.environ)).follow(PAGE)
    assert (tmp_path / "a.toml").read_text() == "x = 1\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [("$ cat a.toml\nx = 1", "$ cat a.toml\nx = 2"), ("$ echo $?\n1", "$ echo $?\n0"), ("$ echo $?\n1\n", "")],
    ids=["other output", "another exit code", "a failure that the page doesn't show"],
)
def test_a_page_that_is_wrong_is_found(tmp_path: Path, old: str, new: str) -> None:
    assert old in PAGE
    with pytest.raises(AssertionError):
        Reader(tmp_path, dict(os.environ)).follow(PAGE.replace(old, new))


@pytest.mark.parametrize(
    "command",
    ["make tests", "make test-env ENV=rubin-env-11", "pytest tests/units", "pip install 'rubin-reconciler[postgress]'"],
)
def test_a_wrong_command_to_set_up_a_machine_is_found(command: str) -> None:
    with pytest.raises(AssertionError):
        check_setup(command.replace("'", "").split())


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a", "...", "d"], ["a", "b", "c", "d"], True),
        (["a", "...", "d"], ["a", "d"], True),
        (["a", "...", "d"], ["a", "b"], False),
        (["a"], ["a", "b"], False),
        (["a.c"], ["abc"], False),
    ],
)
def test_three_dots_stand_for_any_lines_and_for_nothing_else(shown: list[str], printed: list[str], same: bool) -> None:
    assert agrees(shown, printed) is same


def test_what_differs_between_two_runs_is_not_compared() -> None:
    one = simplify("ok 3   changed 1    0.1 s   run 20261124T181244-929a\n/tmp/x/repo\n\n", Path("/tmp/x"))
    assert one == simplify("ok 3 changed 1 22 s run 20251124T181244-0000\n/home/you/repo", Path("/tmp/y"))
    assert one != simplify("ok 4 changed 1 22 s run 20251124T181244-0000\n/home/you/repo", Path("/tmp/y"))


def test_commands_outside_console_blocks_are_found() -> None:
    assert find_unchecked("    reconcile diff x\n\n```sh\nmake test\n```\n") == ["reconcile diff x", "make test"]
