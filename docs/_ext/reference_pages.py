"""Reference pages generated when the documentation is built: the state file from its JSON Schema, the commands from click.

The functions return Markdown and need no Sphinx, so tests call them without building anything. Sphinx calls `setup`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.cli import main
from reconciler.report.kind_help import COMMON_KEYS, describe_type, format_toml
from reconciler.state.schema import known_kinds, state_schema


def describe_keys(definition: Mapping[str, Any], skip: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a Markdown definition for each key of a table: name, type, default, meaning and an example."""
    required = definition.get("required", ())
    for key, schema in definition["properties"].items():
        if key in skip:
            continue
        facts = [describe_type(schema, markdown=True)]
        if key in required:
            facts.append("required")
        elif schema.get("default") not in (None, "", []):
            facts.append(f"default `{format_toml(schema['default'])}`")
        yield f"`{key}` ({', '.join(facts)})\n: {schema['description']}\n"
        for example in schema["examples"][:1]:
            yield f"  ```toml\n  {key} = {format_toml(example)}\n  ```\n"


def state_page() -> str:
    """Return the reference of the state file, generated from its JSON Schema."""
    schema = state_schema()
    definitions = schema["$defs"]
    lines = [
        "# State file",
        "",
        "This page is generated from the JSON Schema of state files, `schemas/state.schema.json`. An editor that supports JSON",
        "Schema completes and checks a state file with it; the first line of `state/ccms1.toml` shows how to name the schema.",
        "A variable such as `${data}` may stand in any string, in keys, and in place of a number or boolean.",
        "",
        "## `[reconcile]`",
        "",
        "The format and the description of this file.",
        "",
        *describe_keys(definitions["reconcile"]),
        "## `[vars]`",
        "",
        schema["properties"]["vars"]["description"],
        "",
        "```toml",
        "[vars]",
        'data = "/data/instrument"',
        "n_raws = 148845",
        "```",
        "",
        "## `[rucio]`",
        "",
        "How to reach the Rucio server. Credentials come only from `rucio.cfg` or environment variables.",
        "",
        *describe_keys(definitions["rucio"]),
        "## Keys of every resource",
        "",
        "All tables below take these keys, too.",
        "",
        *describe_keys({"properties": {key: definitions["chain"]["properties"][key] for key in COMMON_KEYS}}),
    ]
    for name, kind in sorted(known_kinds().items()):
        title = f"[{name}]" if kind.traits.singleton else f'[{name}."…"]'
        lines += [f"({name}-table)=", "", f"## `{title}`", "", kind.traits.summary, "", str(kind.spec.__doc__).strip(), ""]
        lines += describe_keys(definitions[name], COMMON_KEYS)
        for inner in (inner for inner in definitions if inner.startswith(f"{name}.")):
            lines += [f"### {inner.partition('.')[2]} keys of `{name}`", "", definitions[inner]["description"], ""]
            lines += describe_keys(definitions[inner])
    return "\n".join(lines).rstrip() + "\n"


def walk_commands(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """Yield the context of a command and of all its subcommands, in the order of definition."""
    yield context
    for name, child in getattr(command, "commands", {}).items():
        yield from walk_commands(child, click.Context(child, info_name=name, parent=context))


def describe_command(context: click.Context) -> Iterator[str]:
    """Yield the section of one command: what it does, its usage, its options."""
    command = context.command
    yield f"## `{context.command_path}`\n"
    yield from (f"{' '.join(paragraph.split())}\n" for paragraph in (command.help or "").split("\n\n"))
    yield f"```text\n{' '.join(command.get_usage(context).removeprefix('Usage: ').split())}\n```\n"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            names, text = record
            yield f"`{names}`\n: {_escape(text)}\n"


def _escape(text: str) -> str:
    """Protect what click prints literally, such as [default: 1], from being read as Markdown."""
    return text.replace("[", "\\[").replace("*", "\\*").replace("  ", " ")


def commands_page() -> str:
    """Return the reference of the command line, generated from the click commands."""
    lines = ["# Commands", "", "This page is generated from the program; `reconcile COMMAND --help` prints the same.", ""]
    for context in walk_commands(main, click.Context(main, info_name="reconcile", **main.context_settings)):
        lines += describe_command(context)
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"reference/state-file.md": state_page, "reference/commands.md": commands_page}


def write_pages(folder: Path) -> None:
    """Write the generated pages below the folder of the documentation; a page that is current keeps its time."""
    for name, page in PAGES.items():
        file = folder / name
        text = page()
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Have Sphinx write the pages before it reads any."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)))
    return {"parallel_read_safe": True}
