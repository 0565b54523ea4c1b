"""Files, wherever they are: paths and URIs of any protocol that lsst-resources speaks."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from reconciler.live.faults import reading


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
        Folders, or files.
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
        with reading(location):
            folder = ResourcePath(location, forceDirectory=True)
            found += [plain(str(file)) for file in ResourcePath.findFileResources([folder], file_filter=pattern)]
    return sorted(found)
