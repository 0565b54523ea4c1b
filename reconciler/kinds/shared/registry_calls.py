"""Calls of the Butler's registry as commands, for what the ``butler`` command has no subcommand for."""

from reconciler.engine.model import Command

SETUP = "import os; from lsst.daf.butler import Butler, CollectionType; butler = Butler(os.environ['REPO'], writeable=True); "


def registry_call(call: str) -> Command:
    """Return the Python command that makes a call of the registry, such as ``setCollectionDocumentation('x', 'y')``."""
    return Command("python", "-c", f"{SETUP}butler.registry.{call}")
