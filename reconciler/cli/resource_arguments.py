"""Arguments that are state files or addresses, in any order: ``reconcile list state/ccms1.toml 'chain.*'``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def split_arguments(words: Sequence[str]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the state files and the other words; a word is a state file if it ends in ``.toml`` or is an existing file."""
    files = [word for word in words if is_state_file(word)]
    return tuple(map(Path, files)), tuple(word for word in words if word not in files)


def is_state_file(word: str) -> bool:
    """Return True if a word names a state file and not an address."""
    return word.endswith(".toml") or Path(word).is_file()
