"""The collections of a repository, of which only those that are asked for are read.

A repository may have tens of thousands of other people's collections, and reading what they contain would take longer than the
rest of a diff.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.systems.butler.errors import translate_read_errors

if TYPE_CHECKING:
    from reconciler.systems.butler.connection import ButlerConnection

WILDCARDS = frozenset("*?[")


class CollectionFacts(NamedTuple):
    """A collection: its type (RUN, TAGGED, CALIBRATION or CHAINED), and the dataset types that it may contain."""

    type: str
    children: tuple[str, ...]
    doc: str
    dataset_types: frozenset[str]


class CollectionCatalog(Mapping[str, CollectionFacts]):
    """The collections by name; each is read when it is first asked for, and chains with all that they contain.

    Iterating over it lists the names of all collections, and reads nothing else of them.

    Parameters
    ----------
    connection : `ButlerConnection`
        The connection to the repository.
    expected : `Iterable` [`str`]
        Names that are going to be asked for, which are read at once; they need not exist.
    """

    def __init__(self, connection: ButlerConnection, expected: Iterable[str]) -> None:
        self.connection = connection
        self._known: dict[str, CollectionFacts | None] = {}
        self._names: list[str] | None = None
        if connection.ready:
            self.read(expected)
            if not self._known:
                self._list_names()  # asks the registry, so that one that is down is noticed
        else:
            self._names = []

    def read(self, names: Iterable[str]) -> None:
        """Read collections that were not read yet, in a few queries for all of them."""
        missing = [name for name in dict.fromkeys(names) if name not in self._known]
        while missing:
            found = self._query(missing)
            self._known |= {name: found.get(name) for name in missing}
            children = (child for facts in found.values() for child in facts.children)
            missing = [child for child in dict.fromkeys(children) if child not in self._known]

    def matching(self, pattern: str) -> list[str]:
        """Return the names that match a pattern, sorted, and read these collections."""
        names = sorted(fnmatch.filter(self._list_names(), pattern))
        self.read(names)
        return names

    def below(self, folder: str) -> list[str]:
        """Return the names that begin with a text, sorted, and read these collections."""
        names = sorted(name for name in self._list_names() if name.startswith(folder))
        self.read(names)
        return names

    def __getitem__(self, name: str) -> CollectionFacts:
        if name not in self._known:
            self.read([name])
        facts = self._known[name]
        if facts is None:
            raise KeyError(name)
        return facts

    def __iter__(self) -> Iterator[str]:
        return iter(self._list_names())

    def __len__(self) -> int:
        return len(self._list_names())

    def _list_names(self) -> list[str]:
        if self._names is None:
            with translate_read_errors(self.connection.uri):
                self._names = list(self.connection.open().collections.query("*", include_chains=True))
        return self._names

    def _query(self, names: list[str]) -> dict[str, CollectionFacts]:
        if not self.connection.ready:
            return {}
        from lsst.daf.butler import MissingCollectionError

        with translate_read_errors(self.connection.uri):
            try:
                return self._query_existing(names)
            except MissingCollectionError:
                existing = set(self._list_names())
                return self._query_existing([name for name in names if name in existing])

    def _query_existing(self, names: list[str]) -> dict[str, CollectionFacts]:
        if not names:
            return {}
        butler = self.connection.open()
        # A name with a bracket is a pattern to the Butler unless it is escaped; it takes compiled expressions too.
        words: list[Any] = [name if WILDCARDS.isdisjoint(name) else re.compile(re.escape(name)) for name in names]
        if self.connection.is_server and not all(isinstance(word, str) for word in words):
            words = ["*"]  # a server takes no expressions
        asked = frozenset(names)
        infos = butler.collections.query_info(words, include_chains=True, include_summary=True, include_doc=True)
        return {
            info.name: CollectionFacts(info.type.name, tuple(info.children), info.doc or "", frozenset(info.dataset_types or ()))
            for info in infos
            if info.name in asked
        }
