"""What the shell completes: addresses and globs of the state in use, state files, and tables.

It imports no kind and no live system, because a completion is to answer before somebody notices that it works.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click

MOST_ADDRESSES = 50
"""Addresses that are offered before a kind is typed; if there are more, only globs are."""


def complete_globs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete an address, or a glob of all addresses of a kind, for an option that selects resources.

    More than `MOST_ADDRESSES` addresses are offered only once a kind is typed.
    """
    addresses = _list_addresses(_find_states(context))
    kinds = dict.fromkeys(address.partition(".")[0] for address in addresses if "." in address)
    return _match([f"{kind}.*" for kind in kinds], incomplete) + _limit(addresses, incomplete)


def complete_addresses(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete an address or a state file; more than `MOST_ADDRESSES` addresses are offered only once a kind is typed."""
    return _limit(_list_addresses(_find_states(context)), incomplete) + _list_files(incomplete)


def complete_globs_and_files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete an address, a glob or a state file."""
    return complete_globs(context, parameter, incomplete) + _list_files(incomplete)


def complete_tables(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a built-in table."""
    from importlib.util import find_spec

    package = find_spec("reconciler.kinds")
    folders = package.submodule_search_locations if package is not None else None
    places = [Path(folder) for folder in folders or ()]
    modules = [path.stem.rstrip("_") for folder in places for path in folder.glob("*.py")]
    modules += [path.parent.name for folder in places for path in folder.glob("*/kind.py")]
    return _match(sorted(["reconcile", "rucio", *(name for name in modules if not name.startswith("_"))]), incomplete)


def _find_states(context: click.Context) -> list[Path]:
    """Return the state files on the command line so far, or ``state/*.toml``."""
    given: list[str | os.PathLike[str]] = [*context.args]  # where click has them if an option that lacks its value ends the line
    for name in ("state", "words"):
        value = context.params.get(name)
        given += value if isinstance(value, tuple | list) else [value] if value else []
    files = [Path(word) for word in given if str(word).endswith(".toml")]
    return files or sorted(Path("state").glob("*.toml"))


def _list_addresses(paths: Iterable[Path]) -> list[str]:
    from reconciler.state.address_names import list_plain_addresses

    return list(dict.fromkeys(address for path in paths for address in list_plain_addresses(path)))


def _limit(addresses: list[str], incomplete: str) -> list[str]:
    found = _match(addresses, incomplete)
    return found if "." in incomplete or len(found) <= MOST_ADDRESSES else []


def _match(words: Iterable[str], incomplete: str) -> list[str]:
    """Return the words that begin with what was typed; quotes in it are left out, because an address needs none."""
    begun = incomplete.replace('"', "")
    return [word for word in words if word.startswith(begun)]


def _list_files(incomplete: str) -> list[str]:
    folder = os.path.dirname(incomplete)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    words = [os.path.join(folder, entry.name) for entry in entries if entry.name.endswith(".toml") and entry.is_file()]
    folders = [os.path.join(folder, entry.name, "") for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return [word for word in (*words, *folders) if word.startswith(incomplete)] if incomplete else words
