"""The report of plans as Markdown: collapsed sections, within the length of a comment, and with names that do no harm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fakes import FakeContext, FakeKind, FakeSpec, GivenKind, Thing, address, make_plan, make_state
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from test_hostile_names import NAMES, assert_printable, make_world
from test_text_report import RiskyAction

from reconciler.engine.plan import Plan
from reconciler.errors import ObserveError
from reconciler.report.markdown import PlanReport, format_checks, format_markdown

GITHUB, GITLAB = 65_536, 1_000_000
MARKUP = [
    "</details>",
    "<script>alert(1)</script>",
    "<!--",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "@everyone",
    "#1",
    "!1",
    "http://evil.example",
    "www.evil.example",
    "```",
    "~~~",
    "`",
    "**b**",
    "|",
    "\n\n# title\n",
    "&lt;",
    "- [ ] x",
]
HTML = re.compile(r"</?(?:details|summary|code)>|<br>")


def written(*plans: Plan, prune: bool = False) -> str:
    return format_markdown([PlanReport(plan, "file:///repo", None, 1.0, prune) for plan in plans])


def tokens(text: str) -> list[Token]:
    """Return all tokens, as a renderer that allows HTML, tables and bare links has them."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return [one for token in parser.parse(text) for one in (token, *(token.children or ()))]


def test_what_differs_is_one_collapsed_section_each_and_what_is_in_sync_is_not_listed() -> None:
    kind = FakeKind()
    kind.things = {"same": Thing(), "other": Thing(value=1)}
    names = ("box.same", "box.other", "box.missing")
    text = written(make_plan(make_state(dict.fromkeys(names, FakeSpec()), kind, title="A title", ticket="DM-1")))
    assert text.startswith("### reconcile diff: 1 of 1 state not in sync\n\n| state | result |\n|---|---|\n")
    sections = re.findall(r"<details><summary>(.*?)</summary>\n\n```diff\n(.*?)\n```\n\n</details>", text, re.DOTALL)
    assert [(title, body[0]) for title, body in sections] == [
        ("~ <code>fake&#58; box&#46;other</code>", "~"),
        ("+ <code>fake&#58; box&#46;missing</code>", "+"),
    ]
    rendered = MarkdownIt("commonmark").enable("table").render(text)
    assert "2 of 3 resources differ: 2 to change. Nothing to remove. 1.0 s" in rendered
    assert "A title · DM-1" in rendered.replace("&#45;", "-")


def test_states_in_sync_are_lines_of_a_table() -> None:
    kind = FakeKind()
    kind.things = {"a": Thing()}
    text = written(make_plan(make_state({"box.a": FakeSpec()}, kind)), make_plan(make_state({"box.a": FakeSpec()}, kind)))
    assert text.startswith("### reconcile diff: 2 states in sync\n")
    assert "<details>" not in text


def test_what_could_not_be_checked_and_what_would_be_removed_come_first() -> None:
    kind = FakeKind()
    kind.things = {"b": Thing(members={"x"})}
    kind.unobservable = {"c": ObserveError("the server is down", ("is it up?",))}
    plan = make_plan(make_state(dict.fromkeys(("box.a", "box.b", "box.c"), FakeSpec()), kind), prune=True)
    titles = re.findall(r"<summary>.*?<code>(.*?)</code>", written(plan, prune=True))
    assert [title.replace("&#58;", ":").replace("&#46;", ".") for title in titles] == [
        "fake: 1 resource could not be checked",
        "fake: to be removed",
        "fake: box.a",
    ]
    assert "? error: box.c: the server is down\n" in written(plan, prune=True)
    assert "fake&#58; unwanted&#44; and kept without &#45;&#45;prune" in written(plan)


@pytest.mark.parametrize(("count", "name"), [(3000, "n"), (40, "望" * 900), (1, "x" * 200_000)])
def test_a_report_fits_into_a_comment_and_counts_what_does_not(count: int, name: str) -> None:
    names = [f"box.{name}{number}" for number in range(count)]
    text = written(make_plan(make_state(dict.fromkeys(names, FakeSpec()), FakeKind())))
    assert len(text) < len(text.encode()) + 1 <= GITHUB < GITLAB
    shown = text.count("<details>")
    rest = re.search(r"… and ([\d,]+) more sections?, for which a comment has no room", text)
    assert shown + (int(rest[1].replace(",", "")) if rest else 0) == count
    assert shown == text.count("</details>") >= 1


def test_many_states_and_many_members_fit_into_a_comment() -> None:
    members = tuple(f"member {number} {'x' * 2000}" for number in range(500))
    plan = make_plan(make_state({"box.a": FakeSpec(members=members)}, FakeKind()))
    text = written(*[plan] * 300)
    assert len(text.encode()) <= GITHUB
    assert "… and 240 more" in text


@given(st.lists(NAMES | st.lists(st.sampled_from(MARKUP), min_size=1, max_size=4).map("".join), min_size=1, max_size=5))
def test_names_are_neither_markdown_nor_html_nor_links(names: list[str]) -> None:
    text = written(make_world([name.replace("\0", "") for name in names]), prune=True)
    assert_printable(text)
    found = tokens(text)
    assert not [
        token for token in found if token.type in ("link_open", "image", "em_open", "strong_open", "s_open", "code_inline")
    ]
    assert sum(token.type == "heading_open" for token in found) == 1
    html = "".join(token.content for token in found if token.type in ("html_inline", "html_block"))
    assert not re.search(r"[<>]", HTML.sub("", html)), html
    assert sum(token.type == "fence" for token in found) == text.count("<details><summary>") == text.count("\n</details>")
    outside = re.sub(r"^(`{3,})diff\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"@|://|www\.|[^&]#1\b|!1", outside.replace("file:///repo", ""))


def test_a_result_has_neither_mentions_nor_links_to_issues() -> None:
    text = format_checks("title", [("s", 'refused raw."@team/x" #1 \u202e')], [])
    assert_printable(text)
    (row,) = [line for line in text.splitlines() if "team" in line]
    assert "<code>&#64;</code>team" in row
    assert "<code>&#35;</code>1 " in row


def test_what_cannot_be_undone_has_a_section_of_its_own() -> None:
    kind = GivenKind()
    kind.actions["a"] = [RiskyAction(address=address("box.a"), verb="close", removes=("r",))]
    text = written(make_plan(make_state({"box.a": FakeSpec()}, kind)))
    assert "! <code>fake&#58; consider before applying</code></summary>\n\n```diff\n! box.a: closes it\n```\n" in text


def test_a_line_of_backticks_does_not_end_a_block() -> None:
    kind = FakeKind()
    kind.unobservable = {"a": ObserveError("the server is down", ("````", "<script>alert(1)</script>"))}
    text = written(make_plan(make_state({"box.a": FakeSpec()}, kind)))
    (fence,) = [token for token in tokens(text) if token.type == "fence"]
    assert "<script>" in fence.content


def test_no_credential_is_in_the_report() -> None:
    text = written(make_world(["a", "https://me:hunter22@host/x", "password=hunter22"]))
    assert "hunter22" not in text


def test_a_state_file_name_is_data(tmp_path: Path) -> None:
    state = make_state({"box.a": FakeSpec()}, FakeKind(), path=tmp_path / "<b>|x.toml")
    assert "<b>" not in written(make_plan(state, FakeContext()))
