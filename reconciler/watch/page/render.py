"""Pages as HTML: one self-contained file each, whose Content-Security-Policy allows only its own scripts and style.

Every value passes through `_show` before it is escaped for HTML: credentials are masked, and characters that can't be printed are
written as escapes, as on the terminal.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import ReconcileError
from reconciler.printable import escape
from reconciler.redaction import redact
from reconciler.watch.json import to_plain
from reconciler.watch.page.data import IndexRow, StatePage
from reconciler.watch.state_report import Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
CHARTS = "echarts/echarts.min.js"


class PageError(ReconcileError):
    """The page can't be written."""


def render_state(page: StatePage, now: datetime.datetime) -> str:
    """Return the page of one state."""
    # The library is most of the size of a page, so a page without a chart is written without it.
    charts = [CHARTS, "charts.js"] if page.past or page.ledgers else []
    data = {"timeline": page.timeline, "ledgers": [ledger.data for ledger in page.ledgers]}
    return _render("state.html.j2", ["page.js", *charts], data, page=page, now=now)


def render_index(rows: Sequence[IndexRow], now: datetime.datetime, problems: Sequence[str] = ()) -> str:
    """Return the index of all states."""
    counts = [(verdict, sum(row.verdict is verdict for row in rows)) for verdict in Verdict]
    return _render("index.html.j2", ["page.js"], {}, rows=rows, counts=counts, problems=problems, now=now)


def _render(template: str, names: Sequence[str], data: dict[str, Any], **values: Any) -> str:
    environment = _environment()
    style, scripts = _read("page.css"), [_read(name) for name in names]
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_digest(style)}",
            f"script-src {' '.join(map(_digest, scripts))}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return environment.get_template(template).render(
        policy=policy, style=style, scripts=scripts, data=_show_json(to_plain(data)), **values
    )


@functools.cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise PageError(f"a page needs Jinja: {error}", ("pip install 'rubin-reconciler[page]'",)) from error
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_show,
    )
    environment.filters |= {"number": "{:,}".format, "iso": to_plain, "day": _format_minute}
    return environment


def _show(value: Any) -> Any:
    """Return a value of a template without credentials and unprintable characters; markup of the templates stays as it is."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return escape(redact(value))
    return value


def _show_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {escape(redact(key)): _show_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_show_json(inner) for inner in value]
    return escape(redact(value)) if isinstance(value, str) else value


def _format_minute(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"


@functools.cache
def _read(name: str) -> str:
    return (HERE / "assets" / name).read_text(encoding="utf-8")


@functools.cache
def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
