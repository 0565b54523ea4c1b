"""The public names: they exist, are documented, and cost nothing until they are used."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import reconciler
from reconciler import errors

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "reference" / "api.md").read_text()
NAMES = [name for name in reconciler.__all__ if name != "__version__"]


def documented() -> Iterator[str]:
    """Yield the full names of what the directives of the reference page document."""
    for directive, target, options in re.findall(r"^\.\. auto(\w+):: (\S+)\n((?:   :.*\n)*)", API, re.MULTILINE):
        if directive != "module":
            yield target
            continue
        listed = dict(re.findall(r":([\w-]+): ?(.*)", options))
        names = [name for name in listed["members"].split(", ") if name] or vars(importlib.import_module(target))
        yield from (f"{target}.{name}" for name in names if name not in listed.get("exclude-members", "").split(", "))


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_name_is_documented_and_in_the_reference(name: str) -> None:
    value = getattr(reconciler, name)
    assert len(inspect.getdoc(value) or "") > 10
    assert f"{reconciler._HOMES[name]}.{name}" in set(documented())


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isclass(getattr(reconciler, name))])
def test_public_methods_of_an_exported_class_are_documented(name: str) -> None:
    value = getattr(reconciler, name)
    own = {key: member for key, member in vars(value).items() if not key.startswith("_") and key != "model_config"}
    methods = {key: member for key, member in own.items() if callable(member) or isinstance(member, property | classmethod)}
    assert [key for key, member in methods.items() if not inspect.getdoc(member)] == []


def test_every_error_is_exported_and_in_the_hierarchy_that_its_module_shows() -> None:
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert classes <= set(reconciler.__all__)
    assert [name for name in classes if name not in (errors.__doc__ or "")] == []


def test_all_names_are_listed_once_and_by_dir() -> None:
    assert len(reconciler.__all__) == len(set(reconciler.__all__))
    assert set(reconciler.__all__) <= set(dir(reconciler))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'reconciler' has no attribute 'opensession'"):
        reconciler.opensession  # noqa: B018


def test_importing_the_package_imports_none_of_its_parts() -> None:
    code = (
        "import sys, reconciler\n"
        "assert {name for name in sys.modules if name.startswith('reconciler')} == {'reconciler', 'reconciler.version'}\n"
        "assert not {'pydantic', 'click', 'importlib.metadata'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
