"""Files at paths and URIs of any protocol that lsst-resources supports."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from reconciler.systems.butler.errors import translate_read_errors

if TYPE_CHECKING:
    from lsst.resources import ResourcePath

    from reconciler.systems.butler.datasets import StoredFile

FILES_PER_CHECK = 2_000
"""Files in one chunk of a worker."""
BYTES_PER_READ = 1 << 20
IN_ZIP = "#zip-path="
"""Precedes the name of a file within a zip, in the URI that a datastore has for it."""
MISSING = "missing"
NOT_IN_ZIP = "not in its zip"
BROKEN_ZIP = "its zip is not intact; was it truncated?"
NO_RECORDED_CHECKSUM = "no checksum recorded in Rucio"
NO_STORED_CHECKSUM = "the storage returns no Adler-32 checksum"
REQUESTS_AT_ONCE = 16
"""Concurrent requests of one worker to a storage; they spend nearly all their time waiting."""


def normalize_uri(uri: str) -> str:
    """Return a local file as its path and any other URI unquoted, so that two spellings of one location are equal."""
    return unquote(uri.removeprefix("file://localhost").removeprefix("file://"))


def normalize_folder(uri: str) -> str:
    """Return a local folder as a normalized path, as the Butler records the files in it; any other URI as it is."""
    path = normalize_uri(uri)
    return uri if "://" in path else os.path.normpath(path).replace("//", "/", 1)


def join_root(path: str, root: str) -> str:
    """Return a path below its root, or the path itself if it is absolute or a URI."""
    if "://" in path or path.startswith("/") or not root:
        return path
    return f"{root.rstrip('/')}/{path}"


def find(locations: Iterable[str], pattern: str) -> list[str]:
    """Walk folders and return the normalized URIs, sorted, of the files whose names match a regular expression.

    Raises
    ------
    reconciler.errors.ObserveError
        If a folder can't be walked.
    """
    from lsst.resources import ResourcePath

    found: list[str] = []
    for location in locations:
        with translate_read_errors(location, "storage"):
            for folder, _, names in ResourcePath(location, forceDirectory=True).walk(pattern):
                # Names come unquoted. A ResourcePath for each would take eight times as long as the walk.
                start = normalize_uri(str(folder))
                found += [start + name for name in names]
    return sorted(found)


class FileProblem(NamedTuple):
    """A file that is missing or differs from its record; ``size`` is in bytes, None if it is missing or as recorded."""

    id: str
    uri: str
    problem: str
    size: int | None = None


def check(files: Sequence[StoredFile], adler32: Mapping[str, str] | None = None) -> list[FileProblem]:
    """Check that files exist and have their recorded size, and the checksum where the storage returns one without reading.

    Parameters
    ----------
    files : sequence of `StoredFile`
        The files as the datastore recorded them.
    adler32 : mapping, optional
        Recorded Adler-32 checksums by URI. If it is given, the content of every file is compared: local files are read, and other
        storage is asked for its checksum.

    Raises
    ------
    reconciler.errors.ObserveError
        If a storage can't be asked, which doesn't mean that the file is missing.
    """
    from concurrent.futures import ThreadPoolExecutor

    zipped, files = _group_by_zip(files)

    def check_zip(uri: str) -> list[FileProblem]:
        with translate_read_errors(uri, "storage"):
            return list(_check_zip(uri, zipped[uri], adler32))

    def check_one(file: StoredFile) -> FileProblem | None:
        with translate_read_errors(file.uri, "storage"):
            problem, size = _find_problem(file)
            if not problem and adler32 is not None:
                problem = _compare_checksum(file, adler32.get(file.uri, ""))
        return FileProblem(file.id, file.uri, problem, size) if problem else None

    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
        single = [found for found in threads.map(check_one, files) if found is not None]
        return single + [found for problems in threads.map(check_zip, zipped) for found in problems]


def find_container(uri: str) -> str:
    """Return the URI of the zip that contains a file, or the URI itself."""
    return uri.partition(IN_ZIP)[0]


def _group_by_zip(files: Sequence[StoredFile]) -> tuple[dict[str, list[StoredFile]], list[StoredFile]]:
    """Return the files in zips, by the URI of the zip, and the other files."""
    zipped: dict[str, list[StoredFile]] = {}
    others = []
    for file in files:
        if IN_ZIP in file.uri:
            zipped.setdefault(find_container(file.uri), []).append(file)
        else:
            others.append(file)
    return zipped, others


def _check_zip(uri: str, files: Sequence[StoredFile], adler32: Mapping[str, str] | None) -> Iterator[FileProblem]:
    """Check that a zip contains files with their recorded sizes; its checksum is compared as a whole."""
    import zipfile

    from lsst.resources import ResourcePath

    try:
        with ResourcePath(uri).open("rb") as stream, zipfile.ZipFile(stream) as opened:
            sizes = {member.filename: member.file_size for member in opened.infolist()}
    except FileNotFoundError:
        yield from (FileProblem(file.id, file.uri, MISSING) for file in files)
        return
    except (zipfile.BadZipFile, EOFError):
        yield from (FileProblem(file.id, file.uri, BROKEN_ZIP) for file in files)
        return
    for file in files:
        size = sizes.get(unquote(file.uri.partition(IN_ZIP)[2]))
        if size is None:
            yield FileProblem(file.id, file.uri, NOT_IN_ZIP)
        elif 0 <= file.size != size:
            yield FileProblem(file.id, file.uri, f"{size:,} bytes, {file.size:,} recorded", size)
    if adler32 is not None:
        problem = _compare_checksum(files[0]._replace(uri=uri), adler32.get(uri, ""))
        if problem:
            yield FileProblem(files[0].id, uri, problem)


def _find_problem(file: StoredFile) -> tuple[str, int | None]:
    """Return what is wrong with a file, and its size if that is what differs."""
    from lsst.resources import ResourcePath

    place = ResourcePath(file.uri)
    try:
        size = place.size()
    except FileNotFoundError:
        return MISSING, None
    if file.size >= 0 and size != file.size:
        return f"{size:,} bytes, {file.size:,} recorded", size
    if file.checksum and hasattr(place, "get_info") and not place.isLocal:
        checksums = getattr(place.get_info(), "checksums", None) or {}
        if checksums and file.checksum not in checksums.values():
            return "checksum differs from the recorded one", None
    return "", None


def _compare_checksum(file: StoredFile, recorded: str) -> str:
    """Return how the content of a file differs from its recorded checksum, or why that can't be found out."""
    from lsst.resources import ResourcePath

    if not recorded:
        return NO_RECORDED_CHECKSUM
    place = ResourcePath(file.uri)
    found = _read_adler32(place.ospath) if place.isLocal else _ask_adler32(place)
    if not found:
        return NO_STORED_CHECKSUM
    if int(found, 16) == int(recorded, 16):  # servers leave out leading zeros
        return ""
    return f"checksum {found:0>8}, {recorded} recorded"


def _read_adler32(path: str) -> str:
    """Read a local file and return its Adler-32 checksum as Rucio writes it: eight hexadecimal digits."""
    import zlib

    value = 1
    with open(path, "rb") as stream:
        while block := stream.read(BYTES_PER_READ):
            value = zlib.adler32(block, value)
    return f"{value:08x}"


def _ask_adler32(place: ResourcePath) -> str:
    """Return the checksum that a storage keeps of a file, such as dCache and XRootD do; empty if it has none."""
    if not hasattr(place, "get_info"):  # an older lsst-resources
        return ""
    try:
        return str((place.get_info().checksums or {}).get("adler32", ""))
    except NotImplementedError:  # a protocol without checksums
        return ""
