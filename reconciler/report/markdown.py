"""A diff as Markdown for a comment on a merge request: a summary, and a collapsed section for each resource that differs.

A comment may have 65,536 characters on GitHub and 1,000,000 on GitLab, so sections are added up to `LONGEST` bytes, and others
are counted. Names are data: they appear only as character references within ``<code>``, or in a fenced block that they can't end.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.engine.model import DifferenceKind
from reconciler.engine.outcome_counts import DONE
from reconciler.engine.plan import Plan
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.report import text
from reconciler.report.apply_summary import describe_run
from reconciler.report.entry_text import GLYPHS
from reconciler.report.formatting import Line, plural
from reconciler.report.run import RunReport

LONGEST = 65_000
"""Bytes of a report, which are never fewer than its characters; the rest of GitHub's limit is for what a job adds."""
LONGEST_NAME = 300
LONGEST_SECTION = 16_000
MOST_STATES = 60


@dataclass(frozen=True)
class PlanReport:
    """A plan and the live systems that it is for.

    Parameters
    ----------
    plan : `Plan`
        The plan.
    butler, rucio : `str` or `None`
        The live systems.
    elapsed : `float`
        Seconds that the plan took.
    prune : `bool`
        Whether unwanted members are going to be removed.
    """

    plan: Plan
    butler: str | None
    rucio: str | None
    elapsed: float
    prune: bool = False


def format_markdown(reports: Sequence[PlanReport], longest: int = LONGEST) -> str:
    """Return the comment on some plans.

    Parameters
    ----------
    reports : `Sequence` [`PlanReport`]
        One for each state file, in the order of the command line.
    longest : `int`
        Bytes up to which sections are added, each cut after `LONGEST_SECTION` bytes; the table, of at most `MOST_STATES` states,
        is never cut.
    """
    head = "\n".join(_head(reports))
    sections = [section for report in reports for section in _sections(report)]
    return _join(head, sections, longest)


def format_runs(runs: Sequence[RunReport]) -> str:
    """Return the summary of some applies: a table, and a section for what is not done in each state."""
    acted = sum(run.acted for run in runs)
    sections = []
    for run in runs:
        left = [outcome for outcome in run.outcomes if outcome.status not in DONE]
        lines = [Line(f"{outcome.status} {outcome.address}: {outcome.detail}") for outcome in left]
        if lines:
            sections.append((f"{run.name}: {plural(len(lines), 'resource')} not done", lines))
    rows = [(run.name, describe_run(run)) for run in runs]
    return format_checks(f"reconcile apply: acted on {plural(acted, 'resource')}", rows, sections)


def format_checks(title: str, rows: Sequence[tuple[str, str]], sections: Sequence[tuple[str, Sequence[Line]]]) -> str:
    """Return a table of states with their results, and a collapsed section for each that has something to report.

    The table has at most `MOST_STATES` states, and sections are added up to `LONGEST` bytes; the others are counted.

    Parameters
    ----------
    title : `str`
        The heading.
    rows : `Sequence` [`tuple` [`str`, `str`]]
        Name and result of each state.
    sections : `Sequence` [`tuple` [`str`, `Sequence` [`Line`]]]
        Title and lines of each section.
    """
    table = [f"### {title}", "", "| state | result |", "|---|---|"]
    table += [f"| {_name(name)} | {_prose(result)} |" for name, result in rows[:MOST_STATES]]
    if len(rows) > MOST_STATES:
        table.append(f"| … and {len(rows) - MOST_STATES:,} more | |")
    return _join("\n".join(table), [_section(name, "", lines) for name, lines in sections if lines], LONGEST)


def _join(head: str, sections: Sequence[str], longest: int) -> str:
    """Return a head with as many sections as there is room for."""
    left = longest - _size(head) - 200  # for the last line
    shown: list[str] = []
    for section in sections:
        left -= _size(section) + 2
        if left < 0:
            break
        shown.append(section)
    parts = [head, *shown]
    if len(shown) < len(sections):
        rest = plural(len(sections) - len(shown), "more section")
        parts.append(f"… and {rest}, for which a comment has no room.")
    return "\n\n".join(parts)


def _head(reports: Sequence[PlanReport]) -> Iterator[str]:
    differing = [report for report in reports if not report.plan.in_sync]
    if not differing:
        yield f"### reconcile diff: {plural(len(reports), 'state')} in sync"
    else:
        yield f"### reconcile diff: {len(differing):,} of {plural(len(reports), 'state')} not in sync"
    yield ""
    yield "| state | result |"
    yield "|---|---|"
    for report in [*differing, *(report for report in reports if report.plan.in_sync)][:MOST_STATES]:
        summary = text.summarize(report.plan, report.elapsed).text
        systems = f"{_name(report.butler)} " * bool(report.butler) + _name(report.rucio) * bool(report.rucio)
        title = _name(" · ".join(part for part in (report.plan.state.title, report.plan.state.ticket) if part))
        yield f"| {_name(report.plan.state.name)} {title}<br>{systems} | {_prose(summary)} |"
    if len(reports) > MOST_STATES:
        yield f"| … and {len(reports) - MOST_STATES:,} more | |"


def _sections(report: PlanReport) -> Iterator[str]:
    """Yield what could not be checked, then what would be removed, risks, then the other differences."""
    plan = report.plan
    if plan.in_sync:
        return
    name = plan.state.name
    unknown = list(text.report_unknown(plan))
    if unknown:
        yield _section(f"{name}: {plural(len(plan.unknown), 'resource')} could not be checked", "", unknown)
    removals = list(text.report_removals(plan, prune=report.prune))
    if removals:
        verb = "to be removed" if report.prune else "unwanted, and kept without --prune"
        yield _section(f"{name}: {verb}", "", removals)
    risks = list(text.report_risks(plan))
    if risks:
        yield _section(f"{name}: consider before applying", "!", risks[2:])  # without an empty line and the title
    for entry in plan.entries:
        lines = list(text.report_entry(plan, entry))
        if lines:
            kinds = Counter(GLYPHS[d.kind] for d in entry.differences if d.kind is not DifferenceKind.REMOVE)
            yield _section(f"{name}: {entry.address}", " ".join(kinds), lines)


def _section(title: str, glyphs: str, lines: Sequence[Line]) -> str:
    rows = [_one_line(line.text) for line in lines]
    indent = min((len(row) - len(row.lstrip(" ")) for row in rows if row), default=0)
    rows = [row[indent:] for row in rows if row]
    block = _fence(_cut(rows))
    return f"<details><summary>{glyphs} {_name(title)}</summary>\n\n{block}\n\n</details>".replace("<summary> ", "<summary>")


def _cut(rows: Sequence[str]) -> list[str]:
    """Return the first rows, as many as one section has room for."""
    kept: list[str] = []
    left = LONGEST_SECTION
    for number, row in enumerate(rows):
        short = row if len(row) <= 4 * LONGEST_NAME else f"{row[: 4 * LONGEST_NAME]} …"
        left -= _size(short) + 1
        if left < 0:
            return [*kept, f"… and {plural(len(rows) - number, 'more line')}"]
        kept.append(short)
    return kept


def _fence(rows: Sequence[str]) -> str:
    longest = max((len(run) for row in rows for run in re.findall("`+", row)), default=0)
    marks = "`" * max(3, longest + 1)
    return "\n".join([f"{marks}diff", *rows, marks])


def _name(value: str | None) -> str:
    """Return a text as code in which nothing is Markdown, HTML, a link or a mention."""
    if not value:
        return ""
    line = _one_line(value)
    return f"<code>{_plain(line if len(line) <= LONGEST_NAME else f'{line[:LONGEST_NAME]}…')}</code>"


def _prose(value: str) -> str:
    """Return a text in one line in which nothing is Markdown or HTML, and a name in it no mention and no link to an issue."""
    line = _plain(_one_line(" ".join(value.split())))
    return re.sub("&#(64|35);", r"<code>&#\1;</code>", line)


def _plain(line: str) -> str:
    """Return one line with a character reference for each sign that Markdown or HTML could give a meaning."""
    return "".join(f"&#{ord(sign)};" if sign in string.punctuation else sign for sign in line)


def _one_line(value: str) -> str:
    return escape(redact(value))


def _size(value: str) -> int:
    return len(value.encode())
