"""Notifications of a watch: when they are sent, what they contain, and that neither URLs nor names do harm."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from receivers import MailReceiver, WebReceiver, receive_mail, receive_web
from watch_data import CHAIN, RAW, check, difference, night, resource, unknown

from reconciler.errors import ReconcileError
from reconciler.watch.acknowledgements import Acknowledgement, Acknowledgements
from reconciler.watch.channels import Channel, find_channels
from reconciler.watch.check_result import CheckResult
from reconciler.watch.history import History, open_history
from reconciler.watch.locations import HistoryLocation
from reconciler.watch.notifications import send_notifications

NO_ACKS = Acknowledgements(Path("acks/ccms1.toml"))
SECRET = "s3cr3t-t0ken-of-the-channel"


class Watch:
    """A watch with notifications, and a clock that is moved."""

    def __init__(self, folder: Path, *urls: str) -> None:
        self.folder = folder
        self.history = open_history(HistoryLocation(folder / "history.sqlite"))
        self.number = 0.0
        self.channels: list[Channel] = []
        self.use(*urls)

    def use(self, *urls: str) -> None:
        file = self.folder / "notify.txt"
        file.write_text("# where to\n\n" + "\n".join(urls) + "\n")
        self.channels, problems = find_channels(file)
        assert problems == []

    def night(self, *checks: CheckResult, acks: Acknowledgements = NO_ACKS, at: float | None = None) -> list[ReconcileError]:
        """Check some states, notify, and return what failed."""
        self.number = self.number + 1 if at is None else at
        now = night(self.number)
        self.history.begin_run(now)
        for found in checks:
            self.history.record(found, acks, now)
        return list(send_notifications(self.history, self.channels, [found.state for found in checks], now))


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with receive_web() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    with receive_mail() as receiver:
        yield receiver


@pytest.fixture
def watch(web: WebReceiver, tmp_path: Path) -> Watch:
    return Watch(tmp_path, f"json://{web.address}/{SECRET}")


def command(state: str = "/states/ccms1.toml", only: str = RAW) -> str:
    return f"reconcile apply {state} --only '{only}'"


def test_drift_is_notified_once_with_its_command_and_so_is_its_end(watch: Watch, web: WebReceiver) -> None:
    found = check(difference(text="raws: 12 of 148,845 missing", commands=(command(),)))
    assert watch.night(check()) == []
    assert web.messages == []
    assert watch.night(found) == watch.night(found) == []
    (message,) = web.messages
    assert message["title"] == "reconcile: ccms1: 1 drifted"
    assert message["message"].splitlines() == [
        f"ccms1: drifted: {RAW}: raws: 12 of 148,845 missing (since 2026-11-03T02:00Z)",
        "",
        f"$ {command()}",
    ]
    assert watch.night(check()) == watch.night(check()) == []
    assert [message["title"] for message in web.messages[1:]] == ["reconcile: ccms1: 1 resolved"]
    assert "resolved (in sync)" in web.messages[1]["message"]
    assert watch.night(found) == []
    assert len(web.messages) == 3, "drift that comes back is new"


def test_drift_that_becomes_another_one_is_notified_again_and_an_edited_state_only_once(watch: Watch, web: WebReceiver) -> None:
    watch.night(check())
    watch.night(check(difference(fingerprint="f")))
    watch.night(check(difference(fingerprint="g")))
    assert len(web.messages) == 2
    edited = (resource(settled=False, table_digest="edited"), resource(CHAIN))
    for fingerprint in "hij":
        watch.night(check(difference(fingerprint=fingerprint), resources=edited))
    assert [message["title"] for message in web.messages[2:]] == ["reconcile: ccms1: 1 unapplied"]


def test_what_could_not_be_checked_is_notified_the_second_time_in_a_row(watch: Watch, web: WebReceiver) -> None:
    watch.night(check())
    watch.night(check(unknown(), unknown(CHAIN)))
    watch.night(check())
    assert web.messages == []
    for _ in range(3):
        watch.night(check(unknown(), unknown(CHAIN)))
    (message,) = web.messages
    assert message["title"] == "reconcile: ccms1: 1 unknown"
    assert "ccms1: unknown: 2 resources: Rucio could not be reached" in message["message"]
    assert "$ reconcile diff /states/ccms1.toml" in message["message"]
    watch.night(check())
    assert "ccms1: resolved (checked again): 2 resources" in web.messages[1]["message"]


def test_what_is_new_or_waited_for_is_notified_when_it_is_overdue(watch: Watch, web: WebReceiver) -> None:
    def delivering() -> CheckResult:
        waited = difference(CHAIN, "waiting", "files", count=3, desired=3)
        return check(waited, resources=(resource(), resource(CHAIN, deadline=3 * 86400.0)))

    watch.night(check())
    for _ in range(3):
        watch.night(delivering())
    assert web.messages == []
    watch.night(delivering())
    watch.night(delivering())
    assert [message["title"] for message in web.messages] == ["reconcile: ccms1: 1 waiting overdue"]


def test_an_acknowledged_difference_is_quiet_until_shortly_before_its_end(watch: Watch, web: WebReceiver) -> None:
    entry = Acknowledgement(address=RAW, reason="known", until=night(20).date())
    acks = Acknowledgements(Path("acks/ccms1.toml"), (entry,))
    found = check(difference(commands=(command(),)))
    watch.night(check(), at=0)
    watch.night(found, acks=acks, at=1)
    watch.night(found, acks=acks, at=12)
    assert web.messages == []
    for number in (13, 14, 20):
        watch.night(found, acks=acks, at=number)
    (message,) = web.messages
    assert message["title"] == "reconcile: ccms1: 1 about to end"
    assert message["message"].splitlines()[0].startswith(f"ccms1: acknowledged only until {entry.until}: {RAW}: ")
    assert message["message"].splitlines()[-1] == "$ reconcile acks /states/ccms1.toml"
    watch.night(found, at=21)
    assert web.messages[-1]["title"] == "reconcile: ccms1: 1 drifted"


def test_nothing_is_lost_when_sending_fails_and_nothing_is_sent_twice(watch: Watch, web: WebReceiver) -> None:
    web.status = 503
    watch.night(check())
    (error,) = watch.night(check(difference()))
    assert "notify.txt:3 (json): the notification was not sent: the server answered with HTTP status 503" in str(error)
    web.status = 200
    web.requests.clear()
    assert watch.night(check(difference(), difference(CHAIN))) == []
    (message,) = web.messages
    assert message["title"] == "reconcile: ccms1: 2 drifted"
    assert f"{RAW}: raws: differs (since 2026-11-03T02:00Z)" in message["message"]
    assert watch.night(check(difference(), difference(CHAIN))) == []
    assert len(web.messages) == 1


def test_drift_that_came_and_went_while_sending_failed_is_not_notified(watch: Watch, web: WebReceiver) -> None:
    watch.night(check())
    web.status = 500
    watch.night(check(difference()))
    web.status = 200
    web.requests.clear()
    watch.night(check())
    assert web.messages == []


def test_a_channel_that_fails_does_not_affect_another(watch: Watch, web: WebReceiver, tmp_path: Path) -> None:
    watch.use(f"json://127.0.0.1:9/{SECRET}", f"json://{web.address}/{SECRET}")
    watch.night(check())
    (error,) = watch.night(check(difference()))
    assert "notify.txt:3 (json): the notification was not sent: connection refused" in str(error)
    assert len(web.messages) == 1


def test_a_run_sends_one_message_with_the_five_most_important_lines(watch: Watch, web: WebReceiver) -> None:
    addresses = tuple(f"chain.c{number}" for number in range(6))
    clean = check(addresses=addresses)
    other = check(state="/states/dp1.toml", repository="davs://x/dp1")
    watch.night(clean, other)
    broken = check(*(difference(a, "change", "children", commands=(command(only=a),)) for a in addresses), addresses=addresses)
    ill = check(difference(CHAIN, "degraded", ""), state="/states/dp1.toml", repository="davs://x/dp1")
    watch.night(broken, ill)
    (message,) = web.messages
    assert message["title"] == "reconcile: 2 states: 6 drifted, 1 degraded"
    lines = message["message"].splitlines()
    assert [line.split(": ")[2] for line in lines[:5]] == list(addresses[:5])
    assert lines[5:] == ["… and 2 more", "", "$ reconcile apply /states/ccms1.toml", "$ reconcile diff /states/dp1.toml"]


def test_a_check_of_other_states_neither_notifies_nor_resolves(watch: Watch, web: WebReceiver) -> None:
    other = check(state="/states/dp1.toml", repository="davs://x/dp1")
    watch.night(check(), other)
    watch.night(check(difference()))
    watch.night(other)
    assert len(web.messages) == 1


def test_the_end_of_a_difference_is_notified_after_its_state_was_renamed(watch: Watch, web: WebReceiver) -> None:
    watch.night(check())
    watch.night(check(difference()))
    watch.night(check(state="/states/renamed.toml"))
    assert [message["title"] for message in web.messages[1:]] == ["reconcile: renamed: 1 resolved"]


def test_mail_is_sent_and_a_refusal_is_explained(watch: Watch, mail: MailReceiver) -> None:
    watch.use(f"mailto://{mail.address}/?from=watch@example.org&to=operators@example.org&mode=insecure")
    watch.night(check())
    assert watch.night(check(difference(commands=(command(),)))) == []
    (message,) = mail.messages
    assert (message["Subject"], message["To"]) == ("reconcile: ccms1: 1 drifted", "operators@example.org")
    text = message.get_body(("plain", "html")).get_content()
    assert f"ccms1: drifted: {RAW}" in text.replace("&quot;", '"')
    mail.refuse = True
    (error,) = watch.night(check())
    assert str(error).endswith("(mailto): the notification was not sent: the mail server answered with code 554")


HOSTILE = 'chain."@channel <!here> [bonus](http://evil.example) ``` \n$ rm \x1b[2J \u202e password=hunter22"'


def test_a_name_can_neither_mention_people_nor_become_a_link(watch: Watch, web: WebReceiver) -> None:
    host, _, port = web.address.partition(":")
    watch.use(f"mmost://{host}:{port}/{'a' * 24}")
    watch.night(check(addresses=(HOSTILE,)))
    found = difference(HOSTILE, "change", "children", commands=(f"reconcile apply /states/ccms1.toml --only '{HOSTILE}'",))
    assert watch.night(check(found, addresses=(HOSTILE,))) == []
    text = web.messages[0]["text"]
    assert "@channel" not in text
    assert "<!here" not in text
    assert "hunter22" not in text
    assert not any(sign in text for sign in "\x1b\u202e")
    (token,) = [t for t in MarkdownIt().parse(text[text.index("```") :]) if t.type != "inline"]
    assert (token.type, "[bonus](http" in token.content) == ("fence", True), "all of it is one code block"
    assert [line for line in token.content.splitlines() if line.startswith("$ ")] == ["$ reconcile diff /states/ccms1.toml"]


def test_slack_is_sent_one_code_block_without_mentions(watch: Watch, web: WebReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", f"http://{web.address}/services")
    watch.use("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#operations")
    watch.night(check(addresses=(HOSTILE,)))
    assert watch.night(check(difference(HOSTILE, "change", "children"), addresses=(HOSTILE,))) == []
    ((path, body),) = web.requests
    assert path.startswith("/services/")
    text = json.dumps(body, ensure_ascii=False)
    assert "1 drifted" in text
    assert not any(mention in text for mention in ("<!here", "&lt;!here", "@channel"))
    assert text.count("```") == 2


BAD = [
    (f"slak://{SECRET}/b/c", 'no service has the scheme "slak"; did you mean "slack"?'),
    (f"slack://{SECRET}", "something is missing or wrong in what follows slack://"),
    (SECRET, "it doesn't begin with a scheme such as slack:// or mailto://"),
    (f"json://:{SECRET}@", "something is missing or wrong in what follows json://"),
]


@pytest.mark.parametrize(("url", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_a_bad_url_is_one_line_without_the_url(url: str, problem: str, tmp_path: Path, capfd: Any) -> None:
    file = tmp_path / "notify.txt"
    file.write_text(f"{url}\njson://127.0.0.1/x\n")
    channels, (error,) = find_channels(file)
    assert str(error) == f"{file}:1: not a valid URL for notifications: {problem}"
    assert [channel.name for channel in channels] == [f"{file}:2 (json)"]
    assert SECRET not in f"{error} {error.__cause__!r} {error.__context__!r} {channels!r}"
    assert capfd.readouterr() == ("", "")


def test_urls_come_from_the_environment_unless_a_file_is_given(tmp_path: Path) -> None:
    environment = {"RECONCILE_NOTIFY": "json://a.example/x\n  json://b.example/y json://a.example/x"}
    channels, _ = find_channels(None, environment)
    assert [channel.name for channel in channels] == ["RECONCILE_NOTIFY, URL 1 (json)", "RECONCILE_NOTIFY, URL 2 (json)"]
    (tmp_path / "empty.txt").write_text("# none\n")
    assert find_channels(tmp_path / "empty.txt", environment) == ([], [])
    assert find_channels(None, {}) == ([], [])
    _, (error,) = find_channels(tmp_path / "missing.txt", environment)
    assert str(error) == f"{tmp_path}/missing.txt: the URLs of notifications can't be read: No such file or directory"
    _, (error,) = find_channels(tmp_path)
    assert "Is a directory" in str(error)


def test_the_history_does_not_contain_the_url(watch: Watch, web: WebReceiver, tmp_path: Path) -> None:
    watch.night(check())
    watch.night(check(difference()))
    assert len(web.messages) == 1
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.glob("history.sqlite*"))


def test_what_was_notified_is_forgotten_with_its_difference(watch: Watch, web: WebReceiver) -> None:
    import sqlalchemy as sa

    from reconciler.watch.tables import notices

    def count(history: History) -> int:
        with history.transaction() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(notices)).scalar())

    watch.night(check())
    watch.night(check(difference()))
    watch.channels = []
    watch.night(check())
    assert count(watch.history) == 1
    watch.history.prune(night(10) + datetime.timedelta(days=10))
    assert count(watch.history) == 0
