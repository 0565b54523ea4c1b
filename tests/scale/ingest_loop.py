"""Reference for ingesting a campaign: a loop that calls ``butler ingest-raws`` with the raws of one night after another.

It runs in one process, so that it isn't made slow by starting ``butler`` for each night.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Ingest the raws below the nights of a folder into a repository; both are arguments."""
    from click.testing import CliRunner
    from lsst.daf.butler.cli.butler import cli
    from lsst.daf.butler.cli.cliLog import CliLog

    for night in sorted(Path(sys.argv[2]).iterdir()):
        words = ["--log-level", "ERROR", "ingest-raws", "--transfer", "direct", sys.argv[1], str(night)]
        result = CliRunner().invoke(cli, words)
        CliLog.resetLog()
        if result.exit_code:
            sys.exit(f"{night}: {result.output}")


if __name__ == "__main__":
    main()
