"""Files, wherever they are: paths and URIs of any protocol that lsst-resources speaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from reconciler.systems.butler.errors import reading


def plain(uri: str) -> str:
    """Write a URI so that two ways of naming one file are equal.

    Parameters
    ----------
    uri : `str`
        A path or a URI.

    Returns
    -------
    uri : `str`
        A local file as its path; others as they are, unquoted.
    """
    return unquote(uri.removeprefix("file://localhost").removeprefix("file://"))


def absolute(path: str, root: str) -> str:
    """Complete a relative path.

    Parameters
    ----------
    path : `str`
        A path or a URI.
    root : `str`
        What it is relative to.

    Returns
    -------
    path : `str`
        Complete.
    """
    if "://" in path or path.startswith("/") or not root:
        return path
    return f"{root.rstrip('/')}/{path}"


def find(locations: Iterable[str], pattern: str) -> list[str]:
    """Walk folders.

    Parameters
    ----------
    locations : iterable of `str`
        Folders.
    pattern : `str`
        Regular expression that names of files match.

    Returns
    -------
    files : `list` [`str`]
        Plain URIs, sorted.

    Raises
    ------
    reconciler.errors.ObserveError
        If a folder can't be walked.
    """
    from lsst.resources import ResourcePath

    found: list[str] = []
    for location in locations:
        with reading(location, "storage"):
            for folder, _, names in ResourcePath(location, forceDirectory=True).walk(pattern):
                # Names come unquoted. A ResourcePath of each would take eight times as long as the walk.
                start = plain(str(folder))
                found += [start + name for name in names]
    return sorted(found)


CHECKED = 2_000
"""Files that one worker checks at once."""
AT_ONCE = 16
"""Questions to a storage at the same time, by one worker: they are nearly all waiting."""


def check(files: Sequence[tuple[str, str, int, str | None]]) -> list[tuple[str, str, str]]:
    """See that files are there and as large as recorded; and their checksums, where a storage tells them without reading.

    Parameters
    ----------
    files : sequence of (`str`, `str`, `int`, `str` or `None`)
        UUID, URI, size in bytes, or -1 where none is recorded, and checksum.

    Returns
    -------
    problems : `list` of (`str`, `str`, `str`)
        UUID, URI and what is wrong.

    Raises
    ------
    reconciler.errors.ObserveError
        If a storage can't be asked: that is not the same as a file that is not there.
    """
    from concurrent.futures import ThreadPoolExecutor

    def look(file: tuple[str, str, int, str | None]) -> tuple[str, str, str] | None:
        id, uri, size, checksum = file
        with reading(uri, "storage"):
            problem = _problem(uri, size, checksum)
        return (id, uri, problem) if problem else None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [found for found in threads.map(look, files) if found is not None]


def _problem(uri: str, size: int, checksum: str | None) -> str:
    from lsst.resources import ResourcePath

    place = ResourcePath(uri)
    try:
        there = place.size()
    except FileNotFoundError:
        return "not there"
    if size >= 0 and there != size:
        return f"{there:,} bytes, {size:,} recorded"
    if checksum and hasattr(place, "get_info") and not place.isLocal:
        told = getattr(place.get_info(), "checksums", None) or {}
        if told and checksum not in told.values():
            return "another checksum than recorded"
    return ""
