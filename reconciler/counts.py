"""Counts with their nouns, as every text for operators writes them."""

from __future__ import annotations


def count_of(count: int, words: str) -> str:
    """Format a count of members, whose noun is known as a plural, as in ``1 dataset type`` and ``12 children``.

    A word that is no plural, such as ``attached``, stays as it is.
    """
    singular = "child" if words == "children" else words.removesuffix("s")
    return f"{count:,} {singular if count == 1 else words}"


def plural(count: int, word: str) -> str:
    """Format a count with its noun, as in ``1 dataset`` and ``12 datasets``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
