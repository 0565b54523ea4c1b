"""The ledger as the data of a heat map: one character or number for each cell, so that 400 nights of 189 detectors stay small."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.watch.ledger import LedgerRow

IN_AGREEMENT = "in agreement"
OTHER = "other"
MOST_PROBLEMS = 7
"""Problems that get a colour of their own; if there are more, the rarest share one."""
MOST_NAMES = 12_000
"""Missing exposures named on one page. Their names are most of its size if everything is missing."""
MOST_NAMES_OF_A_CELL = 100
NO_ROW = "."


@dataclass(frozen=True)
class NightSummary:
    """One night of the table below the heat map."""

    night: int
    detectors: int
    missing: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class DatasetSummary:
    """One Rucio dataset with a problem, or the files whose dataset, night or detector isn't known."""

    name: str
    in_rucio: int
    in_butler: int
    on_storage: int | None
    problem: str
    names: tuple[str, ...]
    more: int


@dataclass(frozen=True)
class LedgerView:
    """One ledger as a page shows it.

    Parameters
    ----------
    address : `str`
        The resource.
    nights, detectors : `int`
        Number of them.
    cells, differing : `int`
        Number of rows, of cells and of datasets, and of those with a problem.
    counts : `tuple` [`tuple` [`str`, `int`], ...]
        Number of cells by problem, the most frequent first.
    summaries : `tuple` [`NightSummary`, ...]
        Nights with a problem, the latest first.
    datasets : `tuple` [`DatasetSummary`, ...]
        Datasets with a problem.
    data : `Mapping`
        What the script draws; see `_pack`.
    unnamed : `int`
        Missing exposures that are counted but not named.
    """

    address: str
    nights: int
    detectors: int
    cells: int
    differing: int
    counts: tuple[tuple[str, int], ...]
    summaries: tuple[NightSummary, ...]
    datasets: tuple[DatasetSummary, ...]
    data: Mapping[str, Any]
    unnamed: int

    @property
    def named(self) -> int:
        """Number of missing exposures and files that the page names."""
        return sum(map(len, self.data["missing"].values())) + sum(len(dataset.names) for dataset in self.datasets)


def view_ledgers(ledgers: Mapping[str, Sequence[LedgerRow]]) -> list[LedgerView]:
    """Return the ledgers of one state for its page; together they name at most `MOST_NAMES` missing exposures."""
    left = MOST_NAMES
    views = []
    for address, rows in ledgers.items():
        view = _view_ledger(address, rows, left)
        left -= view.named
        views.append(view)
    return views


def _view_ledger(address: str, rows: Sequence[LedgerRow], names: int) -> LedgerView:
    counts = Counter(row.problem for row in rows if row.problem)
    cells = [row for row in rows if row.night]
    data, unnamed = _pack(cells, [problem for problem, _ in counts.most_common()], names)
    left = names - sum(map(len, data["missing"].values()))
    datasets = tuple(_list_datasets([row for row in rows if not row.night and row.problem], left))
    return LedgerView(
        address=address,
        nights=len(data["nights"]),
        detectors=len(data["detectors"]),
        cells=len(rows),
        differing=counts.total(),
        counts=tuple(counts.most_common()),
        summaries=tuple(_summarize(row for row in cells if row.problem)),
        datasets=datasets,
        data=data,
        unnamed=unnamed + sum(dataset.more for dataset in datasets),
    )


def _list_datasets(rows: Sequence[LedgerRow], names: int) -> Iterator[DatasetSummary]:
    for row in rows:
        kept = tuple(map(str, row.missing[: min(MOST_NAMES_OF_A_CELL, names)]))
        names -= len(kept)
        more = len(row.missing) - len(kept)
        yield DatasetSummary(row.dataset, row.in_rucio, row.in_butler, row.on_storage, row.problem, kept, more)


def _summarize(rows: Iterable[LedgerRow]) -> list[NightSummary]:
    nights: dict[int, list[LedgerRow]] = defaultdict(list)
    for row in rows:
        nights[row.night].append(row)
    return [
        NightSummary(
            night,
            len(its),
            sum(len(row.missing) for row in its),
            tuple(dict.fromkeys(row.problem for row in its))[:MOST_PROBLEMS],
        )
        for night, its in sorted(nights.items(), reverse=True)
    ]


def _pack(rows: Sequence[LedgerRow], problems: Sequence[str], names: int) -> tuple[dict[str, Any], int]:
    """Return the arrays of a ledger, night by night in the order of detectors, and the number of exposures that aren't named.

    ``problem`` has one character for each cell: a letter for the place in ``problems``, a dot for a cell without a row. The
    counts are numbers separated by commas, empty if unknown; ``more`` counts the exposures that ``missing``, by the number of the
    cell, doesn't name.
    """
    nights = sorted({row.night for row in rows})
    detectors = sorted({row.detector for row in rows})
    shown = [IN_AGREEMENT, *problems] if len(problems) <= MOST_PROBLEMS else [IN_AGREEMENT, *problems[: MOST_PROBLEMS - 1], OTHER]
    letters = {problem: chr(ord("a") + min(place, len(shown) - 1)) for place, problem in enumerate(["", *problems])}
    night_of = {night: place * len(detectors) for place, night in enumerate(nights)}
    detector_of = {detector: place for place, detector in enumerate(detectors)}
    size = len(nights) * len(detectors)
    marks = [NO_ROW] * size
    rucio, butler, storage = [""] * size, [""] * size, [""] * size
    missing: dict[str, list[str]] = {}
    more = [""] * size
    texts: dict[str, str] = {}
    unnamed = 0
    for row in rows:
        cell = night_of[row.night] + detector_of[row.detector]
        marks[cell] = letters[row.problem]
        rucio[cell], butler[cell] = str(row.in_rucio), str(row.in_butler)
        storage[cell] = "" if row.on_storage is None else str(row.on_storage)
        kept = [str(name) for name in row.missing[: min(MOST_NAMES_OF_A_CELL, names)]]
        names -= len(kept)
        if kept:
            missing[str(cell)] = kept
        if len(kept) < len(row.missing):
            more[cell] = str(len(row.missing) - len(kept))
            unnamed += len(row.missing) - len(kept)
        if shown[-1] == OTHER and letters[row.problem] == chr(ord("a") + len(shown) - 1):
            texts[str(cell)] = row.problem
    packed = {
        "nights": nights,
        "detectors": detectors,
        "problems": shown,
        "problem": "".join(marks),
        "rucio": ",".join(rucio),
        "butler": ",".join(butler),
        "storage": ",".join(storage) if any(storage) else "",
        "missing": missing,
        "more": ",".join(more) if any(more) else "",
        "texts": texts,
    }
    return packed, unnamed
