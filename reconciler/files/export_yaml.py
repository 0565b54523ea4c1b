"""YAML of ``butler export`` as plain objects: the text is read in C, and only the Butler's own tags are known.

Any other tag is an error, so that no file can make an object of its choice. PyYAML's constructor takes longer than the C
parser, so the few sorts of nodes that export files are made of are built here, and it is asked about the rest only.
"""

from __future__ import annotations

import functools
import re
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.errors import StateError

TEXT = "tag:yaml.org,2002:str"
INTEGER = "tag:yaml.org,2002:int"
UUID = "!uuid"
MAPPING = "tag:yaml.org,2002:map"
SEQUENCE = "tag:yaml.org,2002:seq"
DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")


class Tai(str):
    """A time: TAI in ISO form, to nanoseconds."""


class Encoded(str):
    """A region on the sky, as the hexadecimal digits of its encoding."""


class Span(NamedTuple):
    """A validity range.

    Parameters
    ----------
    begin, end : `str` or `None`
        TAI in ISO form; `None` for unbounded.
    """

    begin: str | None
    end: str | None


def load(path: str) -> Any:
    """Read a YAML file.

    Parameters
    ----------
    path : `str`
        The file.

    Returns
    -------
    document : `object`
        Mappings, lists, text, numbers, `Tai`, `Encoded` and `Span`; UUIDs as text.

    Raises
    ------
    reconciler.errors.StateError
        If it is no YAML, or holds other tags.
    """
    import yaml

    from reconciler.files import export_cache

    try:
        content = Path(path).read_bytes()
        document = export_cache.recall(content)
        if document is None:
            document, plain = _parse(content)
            export_cache.keep(content, document, plain=plain)
        return document
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise StateError(f"{path}{line}: not an export file: {problem}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StateError(f"{path}: not an export file: {str(error)[:200]}") from error


def _parse(content: bytes) -> tuple[Any, bool]:
    """Give the document, and whether JSON would give it back as it is."""
    loader = _loader()(content)
    try:
        node = loader.get_single_node()
        builder = _Builder(loader)
        return (None if node is None else builder.build(node)), builder.plain
    finally:
        loader.dispose()


class _Builder:
    """Makes objects of the nodes of one document."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.built: dict[int, Any] = {}
        self.plain = True
        self.sorts = {TEXT: self.text, UUID: self.uuid, INTEGER: self.integer, MAPPING: self.mapping, SEQUENCE: self.sequence}

    def build(self, node: Any) -> Any:
        return self.sorts.get(node.tag, self.other)(node)

    def mapping(self, node: Any) -> Any:
        # An alias is the same node again: it is built once, however often it is named.
        key = id(node)
        if key in self.built:
            self.plain = False
            return self.built[key]
        if node.id != "mapping":
            return self.other(node)
        sorts, other, made = self.sorts, self.other, {}
        for name, value in node.value:
            if name.tag != TEXT or name.id != "scalar":
                return self.other(node)
            if name.value[:1] == "!":
                self.plain = False
            made[name.value] = sorts.get(value.tag, other)(value)
        self.built[key] = made
        return made

    def sequence(self, node: Any) -> Any:
        key = id(node)
        if key in self.built:
            self.plain = False
            return self.built[key]
        if node.id != "sequence":
            return self.other(node)
        sorts, other = self.sorts, self.other
        made = self.built[key] = [sorts.get(item.tag, other)(item) for item in node.value]
        return made

    def text(self, node: Any) -> Any:
        return node.value if node.id == "scalar" else self.other(node)

    def uuid(self, node: Any) -> Any:
        return str(uuid.UUID(hex=node.value)) if node.id == "scalar" else self.other(node)

    def integer(self, node: Any) -> Any:
        return int(node.value) if node.id == "scalar" and DECIMAL.fullmatch(node.value) else self.other(node)

    def other(self, node: Any) -> Any:
        """Let PyYAML build what is rare, or say what is wrong with it."""
        made = self.loader.construct_object(node, deep=True)
        self.plain = self.plain and (made is None or type(made) in (bool, int, float))
        return made


@functools.cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.CSafeLoader):  # the pure Python one reads 10,000 datasets in 8 s
        pass

    def scalar(loader: Any, node: Any) -> str:
        return str(loader.construct_scalar(node))

    def region(loader: Any, suffix: str, node: Any) -> Encoded:
        return Encoded(loader.construct_mapping(node)["encoded"])

    def span(loader: Any, node: Any) -> Span:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "an empty validity range", node.start_mark)
        values = loader.construct_mapping(node)
        return Span(values.get("begin"), values.get("end"))

    Loader.add_constructor(UUID, lambda loader, node: str(uuid.UUID(hex=scalar(loader, node))))
    Loader.add_constructor("!butler_time/tai/iso", lambda loader, node: Tai(scalar(loader, node)))
    Loader.add_constructor("!lsst.daf.butler.Timespan", span)
    Loader.add_multi_constructor("lsst.sphgeom.", region)
    return Loader
