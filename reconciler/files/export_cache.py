"""Large export files, read once: what the YAML of one held is kept under the digest of its bytes.

Reading YAML costs more than everything else that is done about an import that is in sync. A digest can't go stale; what is kept
is JSON, which can hold nothing but data, and whatever is wrong with it only means that the file is read again.
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

from reconciler.files.export_yaml import Encoded, Span, Tai

WORTH_KEEPING = 200_000
"""Bytes of YAML; less is read in some hundredths of a second."""
MOST_KEPT = 50
"""Files; those used last stay."""
FORM = 1
"""Raised when what is kept changes its form."""


def folder() -> Path:
    """Say where it is kept.

    Returns
    -------
    folder : `pathlib.Path`
        Below ``$XDG_CACHE_HOME``.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "rubin-reconciler" / "exports"


def knows(content: bytes) -> bool:
    """Tell whether what a file held is kept.

    Parameters
    ----------
    content : `bytes`
        The file.

    Returns
    -------
    known : `bool`
        Whether `recall` need not read it again.
    """
    return _path(content).exists()


def recall(content: bytes) -> Any:
    """Look up what a file held.

    Parameters
    ----------
    content : `bytes`
        The file.

    Returns
    -------
    document : `object` or `None`
        As `reconciler.files.export_yaml.load` gives it; `None` if it is not known.
    """
    if len(content) < WORTH_KEEPING:
        return None
    path = _path(content)
    with contextlib.suppress(OSError, ValueError, RecursionError, TypeError):
        document = json.loads(path.read_bytes(), object_hook=_restored)
        os.utime(path)
        return document
    return None


def keep(content: bytes, document: Any, *, plain: bool) -> None:
    """Keep what a file held, if that can be done.

    Parameters
    ----------
    content : `bytes`
        The file.
    document : `object`
        What it held.
    plain : `bool`
        Whether it is JSON as it is, as that of many datasets and nothing else is.
    """
    if len(content) < WORTH_KEEPING:
        return
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if not plain:
            # An alias is written out each time: a file of many may hold more than can be kept.
            document = _plain(document, itertools.count(), len(content))
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        place = folder()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place)  # readable by its owner alone
        with open(handle, "w") as file:
            file.write(text)
        os.replace(name, _path(content))
        for old in sorted(place.iterdir(), key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
            old.unlink(missing_ok=True)


def _path(content: bytes) -> Path:
    return folder() / f"{hashlib.sha256(content).hexdigest()}.{FORM}.json"


def _plain(value: Any, nodes: itertools.count[int], most: int) -> Any:
    """Write what JSON does not know as a mapping with one key."""
    if next(nodes) > most:
        raise ValueError("more than its text")
    sort = type(value)
    if sort in (str, int, float, bool) or value is None:
        return value
    if sort is dict:
        if any(type(key) is not str or key.startswith("!") for key in value):
            raise ValueError("keys that JSON has not")
        return {key: _plain(item, nodes, most) for key, item in value.items()}
    if sort is list:
        return [_plain(item, nodes, most) for item in value]
    if sort is Span:
        return {"!span": [_plain(item, nodes, most) for item in value]}
    if sort in (Tai, Encoded):
        return {f"!{sort.__name__}": str(value)}
    raise ValueError(f"{sort.__name__} is not known to JSON")


def _restored(value: dict[str, Any]) -> Any:
    match value:
        case {"!span": [begin, end]}:
            return Span(begin, end)
        case {"!Tai": str(text)}:
            return Tai(text)
        case {"!Encoded": str(text)}:
            return Encoded(text)
    return value
