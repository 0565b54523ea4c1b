"""The dependency graph of a state as text, Mermaid or DOT; grouped by kind and status where it is too large to read.

Names are data: each is quoted for the language that it is written in, and a node is identified by its number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from reconciler.engine.graph import Graph
from reconciler.engine.model import Address
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.report.entry_status import EntryStatus
from reconciler.report.formatting import Line, plural

MOST_NODES = 120
"""Nodes that a reader can follow; a larger graph is grouped."""
MOST_NAMES = 5
FILLS = {
    EntryStatus.OK: "#d9ead3",
    EntryStatus.MISSING: "#cfe2f3",
    EntryStatus.DIFFERS: "#fff2cc",
    EntryStatus.WAITING: "#d0e0e3",
    EntryStatus.LATER: "#d0e0e3",
    EntryStatus.BLOCKED: "#ead1dc",
    EntryStatus.DEGRADED: "#ead1dc",
    EntryStatus.UNWANTED: "#f4cccc",
    EntryStatus.FAILING: "#f4cccc",
    EntryStatus.CONFLICT: "#f4cccc",
    EntryStatus.UNKNOWN: "#e06666",
}


@dataclass(frozen=True)
class Node:
    """One resource, or all of one kind and status.

    Parameters
    ----------
    kind : `str`
        The kind.
    status : `EntryStatus` or `None`
        The status; `None` if it was not checked.
    addresses : `tuple` [`Address`, ...]
        The resources, in order.
    summed : `bool`
        Whether the label is their kind and their number.
    """

    kind: str
    status: EntryStatus | None
    addresses: tuple[Address, ...]
    summed: bool = False

    @property
    def label(self) -> str:
        """The address, the first one and how many more there are, or the kind and the number of resources."""
        others = len(self.addresses) - 1
        name = f"{self.kind} × {others + 1:,}" if self.summed else str(self.addresses[0])
        name += f" and {others:,} more" if others and not self.summed else ""
        return escape(redact(name)) + (f" ({self.status})" if self.status not in (None, EntryStatus.OK) else "")


@dataclass(frozen=True)
class Drawing:
    """Nodes in an order in which each comes after what it needs, and for each the nodes that it needs directly.

    Parameters
    ----------
    nodes : `tuple` [`Node`, ...]
        The nodes.
    needs : `Mapping` [`int`, `Collection` [`int`]]
        Positions of nodes.
    grouped : `bool`
        Whether nodes stand for several resources.
    """

    nodes: tuple[Node, ...]
    needs: Mapping[int, Collection[int]]
    grouped: bool


def draw(graph: Graph, statuses: Mapping[Address, EntryStatus], *, grouped: bool | None = None) -> Drawing:
    """Return the graph without edges that follow from others.

    Parameters
    ----------
    graph : `Graph`
        The graph.
    statuses : `Mapping` [`Address`, `EntryStatus`]
        The status of each resource, if it is known.
    grouped : `bool`, optional
        Whether a node stands for all resources of one kind and status, or each for one resource. By default, it depends on their
        number: up to `MOST_NODES`, only resources of one kind that need the same and are needed by the same share a node.
    """
    if grouped or (grouped is None and len(graph.order) > MOST_NODES):
        keys: Mapping[Address, object] = {address: _key(address, statuses) for address in graph.order}
        return _merge(graph, statuses, keys, {address: graph.predecessors(address) for address in graph.order}, summed=True)
    needs = _reduce({address: graph.predecessors(address) for address in graph.order})
    needed_by: dict[Address, set[Address]] = defaultdict(set)
    for address, others in needs.items():
        for other in others:
            needed_by[other].add(address)
    keys = {
        address: address
        if grouped is False
        else (*_key(address, statuses), frozenset(needs[address]), frozenset(needed_by[address]))
        for address in graph.order
    }
    return _merge(graph, statuses, keys, needs, summed=False)


def _key(address: Address, statuses: Mapping[Address, EntryStatus]) -> tuple[str, EntryStatus | None]:
    return address.kind, statuses.get(address)


def _merge(
    graph: Graph,
    statuses: Mapping[Address, EntryStatus],
    keys: Mapping[Address, object],
    needs: Mapping[Address, Collection[Address]],
    *,
    summed: bool,
) -> Drawing:
    """Return a drawing in which resources with equal keys share a node."""
    members: dict[object, list[Address]] = defaultdict(list)
    for address in graph.order:
        members[keys[address]].append(address)
    nodes = tuple(Node(*_key(found[0], statuses), tuple(found), summed) for found in members.values())
    position = {address: number for number, node in enumerate(nodes) for address in node.addresses}
    edges: dict[int, set[int]] = {number: set() for number in range(len(nodes))}
    for address in graph.order:
        edges[position[address]] |= {position[other] for other in needs[address]} - {position[address]}
    return Drawing(nodes, edges, summed)


def _reduce(needs: Mapping[Address, set[Address]]) -> dict[Address, set[Address]]:
    """Remove edges to what is needed by something else that is needed; each address comes after what it needs."""
    above: dict[Address, set[Address]] = {}
    reduced = {}
    for address, direct in needs.items():
        indirect: set[Address] = set().union(*(above[other] for other in direct))
        reduced[address] = direct - indirect
        above[address] = direct | indirect
    return reduced


def format_text(drawing: Drawing) -> Iterator[Line]:
    """Yield a line for each node, with what it needs; the nodes are in the order of an apply."""
    width = min(max((len(node.label) for node in drawing.nodes), default=0), 60)
    for number, node in enumerate(drawing.nodes):
        names = [drawing.nodes[other].label for other in sorted(drawing.needs[number])]
        more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        arrow = f"  ← {', '.join(names[:MOST_NAMES])}{more}" if names else ""
        yield Line(f"{node.label:<{width}}{arrow}".rstrip())
    total = sum(len(node.addresses) for node in drawing.nodes)
    counts = Counter(str(node.status) for node in drawing.nodes for _ in node.addresses if node.status is not None)
    summary = f": {', '.join(f'{count:,} {status}' for status, count in counts.items())}" if counts else ""
    grouped = "; grouped by kind and status" if drawing.grouped else ""
    yield Line("")
    yield Line(f"{plural(total, 'resource')}{summary}{grouped}. ← means: comes after.")


def format_mermaid(drawing: Drawing) -> Iterator[str]:
    """Yield a flowchart for Mermaid, as GitHub and GitLab show it."""
    yield "flowchart LR"
    for number, node in enumerate(drawing.nodes):
        text = "".join(sign if sign.isalnum() or sign in " _-./" else f"#{ord(sign)};" for sign in node.label)
        yield f'  n{number}["{text}"]'
        if node.status is not None:
            yield f"  style n{number} fill:{FILLS[node.status]}"
    for number, others in drawing.needs.items():
        yield from (f"  n{other} --> n{number}" for other in sorted(others))


def format_dot(drawing: Drawing) -> Iterator[str]:
    """Yield a graph in the DOT language of Graphviz."""
    yield "digraph state {"
    yield "  rankdir=LR;"
    yield '  node [shape=box, style="rounded,filled", fillcolor=white, fontname="Helvetica"];'
    for number, node in enumerate(drawing.nodes):
        fill = f', fillcolor="{FILLS[node.status]}"' if node.status is not None else ""
        yield f"  n{number} [label={_quote(node.label)}{fill}];"
    for number, others in drawing.needs.items():
        yield from (f"  n{other} -> n{number};" for other in sorted(others))
    yield "}"


def _quote(text: str) -> str:
    doubled = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{doubled}"'
