"""The release of obs_base that the stand-in plays: options and defaults of the commands differ between releases.

It follows the installed lsst-daf-butler, as both come with one stack. The variable ``STANDIN_RELEASE`` selects another one, so
that tests can run the commands of each release.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

VARIABLE = "STANDIN_RELEASE"


@dataclass(frozen=True)
class Release:
    """What differs between releases of obs_base.

    Parameters
    ----------
    name : `str`
        Tag of obs_base.
    skips_existing, skips_indexes : `bool`
        Whether ``ingest-raws`` has ``--skip-existing`` and ``--search-indexes``.
    skips_conflicting, prefilters : `bool`
        Whether ``define-visits`` has ``--skip-conflicting``, and ``--prefilter`` with ``--check-detector-regions``.
    grouping : `str`
        Default way in which ``define-visits`` groups exposures.
    """

    name: str
    skips_existing: bool
    skips_indexes: bool
    skips_conflicting: bool
    prefilters: bool
    grouping: str


RELEASES = {
    release.name: release
    for release in (
        Release("w.2025.20", False, False, False, False, "one-to-one-and-by-counter"),
        Release("w.2026.26", True, True, True, True, "one-to-one"),
    )
}


def current_release() -> Release:
    """Return the release to play.

    Raises
    ------
    KeyError
        If ``STANDIN_RELEASE`` names another release than those in `RELEASES`.
    """
    name = os.environ.get(VARIABLE)
    return RELEASES[name] if name else installed_release()


def installed_release() -> Release:
    """Return the release that goes with the installed lsst-daf-butler."""
    from importlib.metadata import version

    # The first weekly whose ingest-raws has --skip-existing is that of December 2025.
    major, year_week = (int(part) for part in version("lsst-daf-butler").split(".")[:2])
    return RELEASES["w.2025.20" if (major, year_week) < (30, 0) else "w.2026.26"]
