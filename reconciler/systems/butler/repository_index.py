"""The Butler repository index, which gives repositories labels, and where the configuration of a repository is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ObserveError, clean, did_you_mean
from reconciler.index_variables import REPOSITORY_INDEXES

if TYPE_CHECKING:
    from lsst.resources import ResourcePath


def locate_repository(uri: str, folder: Path) -> str:
    """Return a label of the repository index as it is, and the path of another name without a folder, next to the state file.

    Raises
    ------
    reconciler.errors.ObserveError
        If the name may be a label, because there is no such folder, and the index can't be read, or the Butler isn't installed.
    """
    if "/" in uri:
        return uri
    from reconciler.systems.butler.connection import import_butler

    import_butler()
    from lsst.daf.butler import Butler

    if uri in Butler.get_known_repos():
        return uri
    failure = find_index_failure()
    if failure and not (folder / uri).exists():
        hint = "correct that variable, or give the location of the repository instead of a label"
        raise ObserveError(f'"{uri}" may be a label of the repository index, which can\'t be read: {failure}', (hint,))
    return str(folder / uri)


def find_index_failure() -> str:
    """Return why the repository index of this environment can't be read; empty if it can, or if there is none."""
    variables = [name for name in REPOSITORY_INDEXES if os.environ.get(name)]
    if not variables:
        return ""
    from lsst.daf.butler import Butler

    try:
        Butler.get_repo_uri("")
    except KeyError:  # there is no such label, and there is an index
        return ""
    except Exception as error:  # whatever reading YAML from anywhere raises
        return f"{' and '.join(variables)}: {clean(error)}"
    return ""


def find_config_file(uri: str) -> ResourcePath:
    """Return the ``butler.yaml`` of a repository; ``uri`` may be a folder, the file itself, or a label of the index."""
    from lsst.daf.butler import Butler
    from lsst.resources import ResourcePath

    place = ResourcePath(Butler.get_repo_uri(uri, return_label=True))
    if place.getExtension() not in (".yaml", ".yml"):
        place = ResourcePath(place, forceDirectory=True).join("butler.yaml")
    return place


def describe_absence(uri: str, name: str) -> ObserveError:
    """Return the error about a location without a repository, or about a label that the repository index doesn't know."""
    from lsst.daf.butler import Butler

    hint = "to create one there, set `create = true` or `seed_config` in [repository]"
    known = Butler.get_known_repos()
    if uri in known:
        place = Butler.get_repo_uri(uri)
        return ObserveError(f"no repository at {place}, the location of {uri} in the repository index", (hint,))
    failure = find_index_failure()
    if failure:
        return ObserveError(f"no repository at {uri}, and the repository index can't be read: {failure}", (hint,))
    label = f', and the repository index has no label "{name}"' if known and name else ""
    return ObserveError(f"no repository at {uri}{label}{did_you_mean(name or uri, known)}", (hint,))
