"""Cache of parsed export files, keyed by the SHA-256 of their content.

Parsing YAML is the slowest part of checking an import that is in sync. Entries can't go stale, because the key is a digest of the
content. They are JSON, which can hold nothing but data; an entry that can't be read, or that another user could have written, is
ignored, and the file is parsed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from reconciler.files.export_types import Encoded, Span, Tai
from reconciler.private_files import read_own_file

MIN_BYTES = 200_000
"""Smaller files are not cached: parsing them takes some hundredths of a second."""
MAX_ENTRIES = 50
"""The least recently used entries beyond this number are deleted."""
FORMAT = 1
"""Increased when the form of an entry changes."""


def cache_folder() -> Path:
    """Return the folder of the cache, below the user's cache folder of the platform."""
    return user_cache_path("rubin-reconciler") / "exports"


def contains(content: bytes) -> bool:
    """Return True if there is an entry for the content of an export file."""
    return _entry_path(content).exists()


def read_cached(content: bytes) -> Any:
    """Return the document that the content of an export file was parsed to, or `None` if it is not in the cache."""
    if len(content) < MIN_BYTES:
        return None
    path = _entry_path(content)
    with contextlib.suppress(OSError, ValueError, RecursionError, TypeError):
        document = json.loads(read_own_file(path), object_hook=_decode)
        os.utime(path)
        return document
    return None


def store(content: bytes, document: Any, *, is_json: bool) -> None:
    """Store the parsed document of an export file of at least `MIN_BYTES`; does nothing if JSON or the disk can't hold it.

    ``is_json`` promises that the document consists of JSON values and of keys without a leading ``!``, so it is stored as it is.
    The least recently used entries beyond `MAX_ENTRIES` are deleted.
    """
    if len(content) < MIN_BYTES:
        return
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if not is_json:
            # JSON repeats an aliased node each time it occurs, so a document of many aliases may be too large to store.
            document = _encode(document, itertools.count(), len(content))
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)  # readable by its owner only
        with open(handle, "w") as file:
            file.write(text)
        os.replace(name, _entry_path(content))
        for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-MAX_ENTRIES]:
            old.unlink(missing_ok=True)


def _entry_path(content: bytes) -> Path:
    return cache_folder() / f"{hashlib.sha256(content).hexdigest()}.{FORMAT}.json"


def _encode(value: Any, nodes: itertools.count[int], max_nodes: int) -> Any:
    """Represent values that JSON lacks as mappings with one key, such as ``{"!Tai": "…"}``."""
    if next(nodes) > max_nodes:
        raise ValueError("the document has more nodes than its file has bytes")
    kind = type(value)
    if kind in (str, int, float, bool) or value is None:
        return value
    if kind is dict:
        if any(type(key) is not str or key.startswith("!") for key in value):
            raise ValueError("a key can't be represented in JSON")
        return {key: _encode(item, nodes, max_nodes) for key, item in value.items()}
    if kind is list:
        return [_encode(item, nodes, max_nodes) for item in value]
    if kind is Span:
        return {"!span": [_encode(item, nodes, max_nodes) for item in value]}
    if kind in (Tai, Encoded):
        return {f"!{kind.__name__}": str(value)}
    raise ValueError(f"{kind.__name__} can't be represented in JSON")


def _decode(value: dict[str, Any]) -> Any:
    match value:
        case {"!span": [begin, end]}:
            return Span(begin, end)
        case {"!Tai": str(text)}:
            return Tai(text)
        case {"!Encoded": str(text)}:
            return Encoded(text)
    return value
