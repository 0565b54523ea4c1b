"""Parser for the YAML of ``butler export``, using PyYAML's C parser and the Butler's own tags.

Any other tag is an error, so no file can create an object of its choice. PyYAML's constructor takes longer than its C parser, so
the few types of nodes that most of an export file consists of are built here; PyYAML builds the rest.
"""

from __future__ import annotations

import functools
import re
import uuid
from pathlib import Path
from typing import Any

from reconciler.errors import StateError
from reconciler.files import export_cache
from reconciler.files.export_types import Encoded, Span, Tai

TEXT = "tag:yaml.org,2002:str"
INTEGER = "tag:yaml.org,2002:int"
UUID = "!uuid"
MAPPING = "tag:yaml.org,2002:map"
SEQUENCE = "tag:yaml.org,2002:seq"
DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
HEXADECIMAL = re.compile(r"(?:[0-9a-fA-F]{2})+")


def load(path: str) -> Any:
    """Read the YAML of an export file, from the cache if it was parsed before.

    Returns
    -------
    document : `object`
        Mappings, lists, text, numbers, `Tai`, `Encoded` and `Span`; UUIDs as text.

    Raises
    ------
    reconciler.errors.StateError
        If the file can't be read, isn't YAML, or contains other tags.
    """
    import yaml

    try:
        content = Path(path).read_bytes()
        document = export_cache.read_cached(content)
        if document is None:
            document, is_json = _parse(content)
            export_cache.store(content, document, is_json=is_json)
        return document
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise StateError(f"{path}{line}: not an export file: {problem}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StateError(f"{path}: not an export file: {str(error)[:200]}") from error


def parse(content: bytes) -> Any:
    """Return the document of an export file, given its content; as `load`, without the cache.

    Raises
    ------
    ValueError
        If it isn't YAML, or contains other tags.
    """
    import yaml

    try:
        return _parse(content)[0]
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _parse(content: bytes) -> tuple[Any, bool]:
    """Return the document, and whether it consists of JSON values only."""
    loader = _loader()(content)
    try:
        node = loader.get_single_node()
        builder = _Builder(loader)
        return (None if node is None else builder.build(node)), builder.is_json
    finally:
        loader.dispose()


class _Builder:
    """Builds the objects of one document from its YAML nodes."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.built: dict[int, Any] = {}
        self.is_json = True
        self.builders = {
            TEXT: self.build_text,
            UUID: self.build_uuid,
            INTEGER: self.build_integer,
            MAPPING: self.build_mapping,
            SEQUENCE: self.build_sequence,
        }

    def build(self, node: Any) -> Any:
        return self.builders.get(node.tag, self.build_other)(node)

    def build_mapping(self, node: Any) -> Any:
        # An alias is the same node again. Each node is built once, however often it is used.
        key = id(node)
        if key in self.built:
            self.is_json = False
            return self.built[key]
        if node.id != "mapping":
            return self.build_other(node)
        builders, other, made = self.builders, self.build_other, {}
        for name, value in node.value:
            if name.tag != TEXT or name.id != "scalar":
                return self.build_other(node)
            if name.value[:1] == "!":
                self.is_json = False
            made[name.value] = builders.get(value.tag, other)(value)
        self.built[key] = made
        return made

    def build_sequence(self, node: Any) -> Any:
        key = id(node)
        if key in self.built:
            self.is_json = False
            return self.built[key]
        if node.id != "sequence":
            return self.build_other(node)
        builders, other = self.builders, self.build_other
        made = self.built[key] = [builders.get(item.tag, other)(item) for item in node.value]
        return made

    def build_text(self, node: Any) -> Any:
        return node.value if node.id == "scalar" else self.build_other(node)

    def build_uuid(self, node: Any) -> Any:
        return str(uuid.UUID(hex=node.value)) if node.id == "scalar" else self.build_other(node)

    def build_integer(self, node: Any) -> Any:
        return int(node.value) if node.id == "scalar" and DECIMAL.fullmatch(node.value) else self.build_other(node)

    def build_other(self, node: Any) -> Any:
        """Build a rare type of node with PyYAML, which raises if its tag is unknown or its value invalid."""
        made = self.loader.construct_object(node, deep=True)
        self.is_json = self.is_json and (made is None or type(made) in (bool, int, float))
        return made


@functools.cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.CSafeLoader):  # the pure Python loader takes 8 s for 10,000 datasets
        pass

    def scalar(loader: Any, node: Any) -> str:
        return str(loader.construct_scalar(node))

    def region(loader: Any, suffix: str, node: Any) -> Encoded:
        encoded = loader.construct_mapping(node).get("encoded") if isinstance(node, yaml.MappingNode) else None
        if not isinstance(encoded, str) or not HEXADECIMAL.fullmatch(encoded):
            raise yaml.constructor.ConstructorError(None, None, "a region without its encoded value", node.start_mark)
        return Encoded(encoded)

    def span(loader: Any, node: Any) -> Span:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "a validity range without begin and end", node.start_mark)
        values = loader.construct_mapping(node)
        return Span(values.get("begin"), values.get("end"))

    Loader.add_constructor(UUID, lambda loader, node: str(uuid.UUID(hex=scalar(loader, node))))
    Loader.add_constructor("!butler_time/tai/iso", lambda loader, node: Tai(scalar(loader, node)))
    Loader.add_constructor("!lsst.daf.butler.Timespan", span)
    Loader.add_multi_constructor("lsst.sphgeom.", region)
    return Loader
