"""The command line, one file for each command."""

from reconciler.cli.main import main

__all__ = ["main"]
