"""Where the files that Rucio delivers are here: below the location of a table whose end their name repeats."""

from __future__ import annotations

from collections.abc import Sequence


class LocalFolders(dict[str, str]):
    """Maps a folder in Rucio to the place of its files here, which ends with a slash; each is found once.

    That place is below the location whose end the folder's name repeats, which gives the shortest path.
    """

    def __init__(self, locations: Sequence[str]) -> None:
        from reconciler.systems.storage import normalize_folder

        self._locations = [normalize_folder(location) for location in locations]

    def __missing__(self, folder: str) -> str:
        file = f"{folder}/x" if folder else "x"
        self[folder] = min((local_path(location, file) for location in self._locations), key=len)[:-1]
        return self[folder]

    def locate(self, name: str) -> str:
        """Return the path here of a file in Rucio."""
        folder, _, base = name.rpartition("/")
        return self[folder] + base


def local_path(location: str, name: str) -> str:
    """Return where a file that Rucio delivers is below a location, which may end with the first parts of the file's name.

    ``…/raw/LSSTComCam`` and ``LSSTComCam/20241108/x.fits`` make ``…/raw/LSSTComCam/20241108/x.fits``.
    """
    folder = location.rstrip("/")
    parts = name.split("/")
    for count in range(len(parts) - 1, 0, -1):
        if folder.endswith("/" + "/".join(parts[:count])):
            return "/".join([folder, *parts[count:]])
    return f"{folder}/{name}"
