"""Reference for ingesting zips of exposures: a loop of `Butler.import_` of the dimension records and `Butler.ingest_zip`."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Ingest the zips below the nights of a folder into a repository; both are arguments."""
    from lsst.daf.butler import Butler

    butler = Butler.from_config(sys.argv[1], writeable=True)
    for path in sorted(Path(sys.argv[2]).glob("*/*.zip")):
        butler.import_(filename=str(path.with_name(f"{path.stem}_dimensions.yaml")), format="yaml")
        butler.ingest_zip(str(path), transfer="direct")


if __name__ == "__main__":
    main()
