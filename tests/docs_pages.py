"""Runs the commands of a documentation page as its reader would type them, and compares what they print with what the page shows.

A page is Markdown. In a ``console`` block each line that begins with ``$`` is a command, and the lines below it are its output.
A code block with a caption, or after a comment ``<!-- file: NAME -->``, is a file that the reader saves under that name. No shell
runs the commands.

In shown output, a line ``...`` stands for any number of lines. Spaces, durations, times, run identifiers, ports and the name of
the user are not compared, and the folder in which a reader works is shown as ``/home/you``.
"""

from __future__ import annotations

import os
import re
import shlex
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
HOME = "/home/you"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
SETUP = ("make", "pip", "git", "pre-commit", ".ci/run", "pytest")
"""Programs that prepare a machine or take long: their arguments are checked, and they are not run."""
VOLATILE = (
    (re.compile(r"\b\d{8}T\d{6}-[0-9a-f]{4}\b"), "RUN"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "TIME"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:ms|s|min)\b"), "DURATION"),
    (re.compile(r"127\.0\.0\.1:\d+"), "SERVER"),
    (re.compile(r"(?<=\s)[\w.-]+@[\w.-]+(?=\s)"), "USER"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass
class Step:
    """A command of a page with the output that the page shows, or a file to save.

    Parameters
    ----------
    line : `int`
        Where it is in the page, for messages.
    command : `str`
        The command; empty for a file.
    shown : `list` [`str`]
        The lines of output, or those of the file.
    file : `str`
        Name of the file; empty for a command.
    """

    line: int
    command: str = ""
    shown: list[str] = field(default_factory=list)
    file: str = ""


def read_steps(text: str) -> Iterator[Step]:
    """Yield the commands and files of a page in order."""
    named = ""
    for token in MarkdownIt().parse(text):
        if token.type == "html_block" and (comment := re.match(r"<!-- file: (\S+) -->", token.content)):
            named = comment[1]  # of the code block that follows; a page that is read elsewhere can't have captions
        if token.type != "fence" or token.map is None:
            continue
        lines = token.content.splitlines()
        if named:
            yield Step(token.map[0] + 1, file=named, shown=lines)
            named = ""
            continue
        caption = re.fullmatch(r":caption: (\S+)", lines[0]) if lines else None
        if caption:
            body = lines[1:]
            yield Step(token.map[0] + 1, file=caption[1], shown=body[1:] if body and not body[0] else body)
        elif token.info.strip() == "console":
            yield from _read_commands(lines, token.map[0] + 2)


def _read_commands(lines: list[str], first: int) -> Iterator[Step]:
    step = None
    for number, line in enumerate(lines, first):
        if line.startswith("$ "):
            if step:
                yield step
            step = Step(number, command=line[2:])
        else:
            assert step, f"line {number}: output without a command"
            step.shown.append(line)
    if step:
        yield step


def find_unchecked(text: str) -> list[str]:
    """Return the commands of a page that are not in a ``console`` block, so that nothing would run them."""
    found = []
    for token in MarkdownIt().parse(text):
        if token.type == "code_block" or (token.type == "fence" and token.info.strip() in ("", "sh", "bash", "shell")):
            commands = re.findall(r"^\s*(?:\$ )?((?:reconcile|butler|rucio|make|pip) .*)$", token.content, re.MULTILINE)
            found += commands
    return found


def simplify(text: str, folder: Path) -> list[str]:
    """Return the lines of an output without what differs between two runs."""
    text = text.replace(str(folder), HOME)
    for pattern, name in VOLATILE:
        text = pattern.sub(name, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Whether output is what a page shows, where ``...`` stands for any number of lines."""
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in shown)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


def check_setup(words: list[str]) -> None:
    """Check the arguments of a command that is not run: targets of make, extras of the package, folders of tests."""
    name, *arguments = words
    for word in arguments:
        if name == "make" and "=" not in word:
            assert re.search(rf"^{re.escape(word)}:", MAKEFILE, re.MULTILINE), f"the Makefile has no target {word}"
        if name == "make" and word.startswith("ENV="):
            assert (ROOT / "tests" / "envs" / f"{word[4:]}.txt").is_file(), f"tests/envs has no {word[4:]}.txt"
        if name in ("make", "pytest") and (word.startswith(("tests", "TESTS="))):
            assert (ROOT / word.removeprefix("TESTS=")).exists(), f"there is no {word}"
        if name == "pip" and word.startswith(PROJECT["name"]):
            extras = word.removeprefix(PROJECT["name"]).strip("[]").split(",")
            unknown = [extra for extra in extras if extra and extra not in PROJECT["optional-dependencies"]]
            assert not unknown, f"the package has no extra {unknown}"


class Reader:
    """Somebody who follows a page in a folder.

    Parameters
    ----------
    folder : `pathlib.Path`
        Where commands run and files are saved.
    environment : `dict` [`str`, `str`]
        Environment variables of the commands; those of the page are added.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.code = 0

    def follow(self, text: str) -> None:
        """Do everything that a page describes."""
        steps = list(read_steps(text))
        for step, following in zip(steps, [*steps[1:], Step(0)], strict=True):
            if step.file:
                self.save(step)
            else:
                self.run(step, following)

    def save(self, step: Step) -> None:
        """Save a file of the page."""
        file = self.folder / step.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(step.shown) + "\n")

    def run(self, step: Step, following: Step) -> None:
        """Run a command; its output and its exit code must be what the page leads a reader to expect."""
        if step.command == "echo $?":
            printed = f"{self.code}\n"
        else:
            words = [string.Template(word).safe_substitute(self.environment) for word in shlex.split(step.command)]
            printed = self.execute(words)
            if following.command != "echo $?":
                # 2 means that something differs. An error is expected where one is shown.
                allowed = (1,) if any(line.startswith("error:") for line in step.shown) else (0, 2)
                assert self.code in allowed, f"line {step.line}: {step.command}: exit code {self.code}\n{printed}"
        if step.shown:
            shown, real = simplify("\n".join(step.shown), self.folder), simplify(printed, self.folder)
            assert agrees(shown, real), f"line {step.line}: {step.command} printed\n{printed}"

    def execute(self, words: list[str]) -> str:
        """Run a program, or do what a shell does itself, and return what is printed."""
        self.code = 0
        name, *arguments = words
        if name == ".":
            self.source(self.folder / arguments[0])
            return ""
        if name == "pip" and arguments[:2] == ["install", "-e"]:
            return self.install(self.folder / arguments[2])
        if name in SETUP:
            check_setup(words)
            return ""
        program = Path(sys.executable).with_name(name)
        command = {"reconcile": [sys.executable, "-m", "reconciler"], "python": [sys.executable]}.get(
            name, [str(program) if program.exists() else name]
        )
        done = subprocess.run(
            [*command, *arguments],
            cwd=self.folder,
            env=self.environment,
            input="y\n",
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.code = done.returncode
        return done.stdout

    def source(self, file: Path) -> None:
        """Add the variables that a file exports to the environment."""
        for name, value in re.findall(r"^export (\w+)=(.*)$", file.read_text(), re.MULTILINE):
            self.environment[name] = shlex.split(value)[0] if value else ""
        self.add_to_path(ROOT)

    def add_to_path(self, folder: Path) -> None:
        """Let Python import from a folder, besides those that it imports from already."""
        paths = [path for path in self.environment.get("PYTHONPATH", "").split(os.pathsep) if path]
        if str(folder) not in paths:
            self.environment["PYTHONPATH"] = os.pathsep.join([*paths, str(folder)])

    def install(self, folder: Path) -> str:
        """Do what matters of ``pip install -e``, without a network: make the modules and the entry points of a package known."""
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        information = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        information.mkdir(exist_ok=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
        sections = [
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
            for group, entries in project.get("entry-points", {}).items()
        ]
        (information / "entry_points.txt").write_text("\n".join(sections))
        self.add_to_path(folder)
        return ""
