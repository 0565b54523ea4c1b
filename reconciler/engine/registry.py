"""The kinds of resources, one small file each; every module here that has a ``KIND`` is one."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any

from reconciler.engine.model import Kind


@functools.cache
def discover() -> dict[str, Kind[Any]]:
    """Find all kinds.

    Returns
    -------
    kinds : `dict` [`str`, `reconciler.engine.model.Kind`]
        By the name of their table, in the order in which an operator would go about them.
    """
    found = []
    package = importlib.import_module("reconciler.kinds")
    for module in pkgutil.iter_modules(package.__path__):
        kind = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "KIND", None)
        if kind is not None:
            found.append(kind)
    return {kind.name: kind for kind in sorted(found, key=lambda kind: (kind.rank, kind.name))}
