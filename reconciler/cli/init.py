"""``reconcile init``: write a first state file, with comments."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from reconciler.cli.console import IN_SYNC, echo, handle_errors
from reconciler.errors import StateError

NOTHING = "-"
"""The answer for a system that the state doesn't have."""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".", metavar="[DIR]")
@click.option("--name", default="first", show_default=True, help="Name of the state, and of its file in the folder state.")
@click.option("--title", prompt="Purpose of the state, in a few words", help="Purpose of the state.")
@click.option(
    "--repository",
    prompt="Folder or URL of the Butler repository (- for none)",
    default="repo",
    help="Location of the Butler repository; - for none.",
)
@click.option(
    "--rse",
    prompt="RSE of this facility in Rucio (- for no Rucio)",
    default=NOTHING,
    help="RSE of this facility in Rucio; - for none.",
)
@handle_errors
def init(directory: Path, name: str, title: str, repository: str, rse: str) -> int:
    """Write a first state file with comments, after three questions.

    It is written to DIR/state/NAME.toml, with a copy of the JSON Schema for editors next to it. An existing file is never
    overwritten.
    """
    import json

    from reconciler.report.first_state import FirstState, format_first_state
    from reconciler.state.loader import load
    from reconciler.state.schema import state_schema

    repository, rse = ("" if answer.strip() == NOTHING else answer.strip() for answer in (repository, rse))
    if not repository and not rse:
        raise StateError("a state needs a Butler repository or Rucio; give one of them")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise StateError(f"--name {name}: a name has only letters, digits and _.-; its file is state/NAME.toml")
    folder = directory / "state"
    file, schema = folder / f"{name}.toml", folder / "state.schema.json"
    if file.exists():
        raise StateError(f"{file}: exists already", ("choose another name with --name",))
    if repository and "://" not in repository:
        repository = os.path.abspath(repository)  # as on every command line, relative to the working directory
    create = "://" not in repository and not os.path.exists(os.path.join(repository, "butler.yaml"))
    answers = FirstState(title, repository, create, rse, schema.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        schema.write_text(json.dumps(state_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with file.open("x", encoding="utf-8") as stream:
            stream.write(format_first_state(answers))
    except OSError as error:
        raise StateError(f"{file}: can't be written: {error.strerror}") from error
    try:
        load(file)
    except StateError:  # such as a credential in an answer, which must not stay in a file
        file.unlink()
        raise
    echo(f"Wrote {file}.")
    echo(f"Edit it, then compare it with what exists: reconcile diff {file}")
    return IN_SYNC
