"""The tree of collections that a page shows: what users search, with a mark at what isn't in sync."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.watch.check_result import CheckedCollection
from reconciler.watch.page.marks import IN_SYNC_MARK, MARKS, OUTSIDE_MARK
from reconciler.watch.state_report import CAUSE_ORDER, Finding

MOST_NODES = 2000
BELOW = "in sync itself, but a collection below it is not"


@dataclass(frozen=True)
class TreeNode:
    """A collection with its children.

    Parameters
    ----------
    name : `str`
        The collection.
    mark, meaning : `str`
        Its sign, and that sign in words.
    differs : `bool`
        Whether it or one below it is not in sync.
    finding : `int`
        Number of its first difference; -1 if it has none that the page lists.
    repeated : `bool`
        Whether it is a chain whose children are listed where it occurs first.
    children : `tuple` [`TreeNode`, ...]
        In search order.
    """

    name: str
    mark: str
    meaning: str
    differs: bool
    finding: int = -1
    repeated: bool = False
    children: tuple[TreeNode, ...] = ()


class TreeBuilder:
    """Builds the tree of collections. The children of a chain are listed once, so that no state makes it grow without end."""

    def __init__(
        self,
        collections: Sequence[CheckedCollection],
        findings: Sequence[Finding],
        numbers: Mapping[str, int],
        checked: set[str],
    ) -> None:
        self.collections = {collection.name: collection for collection in collections}
        self.findings: dict[str, list[Finding]] = defaultdict(list)
        for finding in findings:
            self.findings[finding.difference.address].append(finding)
        self.numbers, self.checked = numbers, checked
        self.listed: set[str] = set()
        self.above: set[str] = set()  # chains above, or with, something that differs
        self.left = MOST_NODES
        self.incomplete = False

    def build(self) -> Iterator[TreeNode]:
        children = {child for collection in self.collections.values() for child in collection.children}
        roots = [name for name in self.collections if name not in children]
        # Chains before what no chain has, as butler query-collections --chains TREE shows what users search.
        yield from self._nodes(sorted(roots, key=lambda name: (not self.collections[name].children, name)))

    def _nodes(self, names: Iterable[str]) -> Iterator[TreeNode]:
        for name in names:
            if self.left <= 0:
                self.incomplete = True
                return
            yield self._node(name)

    def _node(self, name: str) -> TreeNode:
        self.left -= 1
        collection = self.collections.get(name)
        if collection is None:
            return TreeNode(name, *OUTSIDE_MARK, differs=False)
        found = [finding for address in collection.addresses for finding in self.findings[address]]
        mark, meaning = self._mark(collection, found)
        finding = next((self.numbers[f.difference.address] for f in found if f.difference.address in self.numbers), -1)
        repeated = bool(collection.children) and name in self.listed
        self.listed.add(name)
        children = () if repeated else tuple(self._nodes(collection.children))
        differs = (mark, meaning) != IN_SYNC_MARK or name in self.above or any(child.differs for child in children)
        if differs:
            self.above.add(name)
        if differs and (mark, meaning) == IN_SYNC_MARK:
            meaning = BELOW
        return TreeNode(name, mark, meaning, differs, finding, repeated, children)

    def _mark(self, collection: CheckedCollection, found: Sequence[Finding]) -> tuple[str, str]:
        if any(address not in self.checked for address in collection.addresses):
            return MARKS["unknown"]
        worst = min(found, key=lambda finding: CAUSE_ORDER.index(finding.cause), default=None)
        return IN_SYNC_MARK if worst is None else MARKS.get(worst.difference.kind, ("~", worst.difference.kind))
