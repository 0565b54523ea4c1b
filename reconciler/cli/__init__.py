"""The command line: one file for each command, and what they share."""

from reconciler.cli.main import main

__all__ = ["main"]
