"""Find the kinds of resources that a package offers, without importing any by name."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from reconciler.engine.kind import Kind


@functools.cache
def load_kinds(package_name: str) -> Mapping[str, Kind[Any, Any]]:
    """Return the kinds of a package, by the name of their table, in the order in which an operator would work.

    Parameters
    ----------
    package_name : `str`
        A package; each of its modules that has an attribute ``KIND`` defines a kind.
    """
    package = importlib.import_module(package_name)
    modules = [importlib.import_module(f"{package_name}.{module.name}") for module in pkgutil.iter_modules(package.__path__)]
    kinds = [module.KIND for module in modules if hasattr(module, "KIND")]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: (kind.traits.order, kind.name))}
