"""Write a man page for `reconcile` and for each of its commands: ``make man``, then ``man -l build/man/reconcile-diff.1``."""

from __future__ import annotations

import sys
from pathlib import Path

from click_man.core import write_man_pages

from reconciler.cli import main
from reconciler.version import __version__


def write(folder: Path) -> list[Path]:
    """Write all man pages to a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    write_man_pages("reconcile", main, version=__version__, target_dir=str(folder))
    return sorted(folder.glob("*.1"))


if __name__ == "__main__":
    for path in write(Path(sys.argv[1] if len(sys.argv) > 1 else "build/man")):
        print(path)
