"""State files that an earlier version accepted stay valid, and the schema of state files only gains."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from reconciler.engine.graph import build_graph
from reconciler.state.loader import load
from reconciler.state.schema import state_schema

RELEASED = ROOT / "tests" / "cases" / "released"
WIDER_PATTERNS = {
    r"^(none|all|sample:[1-9]\d*)$": (r"^(none|all|(sample|checksum):[1-9]\d*)$", ("none", "all", "sample:1", "sample:20"))
}
"""Patterns that accept more than before: the newer one, and examples of all that the old one accepts."""


@pytest.mark.parametrize("name", sorted(path.name for path in (RELEASED / "state").glob("*.toml")))
def test_a_state_file_of_an_earlier_version_is_still_valid(tmp_path: Path, name: str) -> None:
    shutil.copytree(ROOT / "state" / "ccms1", tmp_path / "ccms1")
    shutil.copy(RELEASED / "state" / name, tmp_path / name)
    variables = {"repo": str(tmp_path / "repo"), "data": "/data"}
    state = load(tmp_path / name, variables)
    assert state.resources
    if not missing_inputs(state):
        assert len(build_graph(state).order) == len(state.resources)


def missing_inputs(state: Any) -> list[str]:
    kinds = state.kinds
    files = [f for address, spec in state.resources.items() for f in kinds[address.kind].requirements(spec).input_files]
    exports = [spec.export_file for spec in state.resources.values() if hasattr(spec, "export_file")]
    return [path for path in [*files, *exports] if not Path(path).is_file()]


def strip_texts(schema: Any) -> Any:
    """Return a schema without what only people read."""
    if isinstance(schema, list):
        return [strip_texts(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    texts = {key for key in ("title", "description", "examples") if not isinstance(schema.get(key), dict)}
    return {key: strip_texts(value) for key, value in schema.items() if key not in texts}


def find_losses(old: Any, new: Any, path: str) -> Iterator[str]:
    """Yield what a schema accepted or described and a newer one does not."""
    if isinstance(old, dict):
        for key, value in old.items():
            if not isinstance(new, dict) or key not in new:
                yield f"{path}.{key} is gone"
            else:
                yield from find_losses(value, new[key], f"{path}.{key}")
        if isinstance(new, dict):
            yield from (f"{path}: {name} is required now" for name in set(new.get("required", ())) - set(old.get("required", ())))
    elif isinstance(old, list) and path.endswith((".enum", ".anyOf", ".type")):
        yield from (f"{path} lacks {item}" for item in old if item not in new)
    elif path.endswith(".pattern") and new == WIDER_PATTERNS.get(old, ("",))[0]:
        return
    elif old != new and not path.endswith(".required"):
        yield f"{path} was {old} and is {new}"


def test_the_schema_of_state_files_has_lost_nothing() -> None:
    old = strip_texts(json.loads((RELEASED / "state.schema.json").read_text()))
    new = strip_texts(json.loads(json.dumps(state_schema())))
    assert list(find_losses(old, new, "")) == []


def test_wider_patterns_accept_what_the_old_ones_accept() -> None:
    for old, (new, examples) in WIDER_PATTERNS.items():
        assert all(re.search(old, example) and re.search(new, example) for example in examples)


def test_a_lost_key_and_a_new_required_key_are_found() -> None:
    old = {"properties": {"a": {"type": "string"}}, "required": []}
    assert list(find_losses(old, {"properties": {}, "required": ["b"]}, "")) == [".properties.a is gone", ": b is required now"]
