"""Where notifications go: URLs as the library apprise takes them, from a file or an environment variable.

A URL contains credentials, so it is never printed: messages name its place and its scheme. Of what apprise logs, which may
contain URLs, only the numbers and fixed texts that `_explain` knows are shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.errors import ReconcileError, did_you_mean
from reconciler.redaction import remember, remember_uri

VARIABLE = "RECONCILE_NOTIFY"
RENDERS_MARKDOWN = frozenset({"discord", "gchat", "matrixs", "mmosts", "rockets", "slack", "webex", "workflows", "zulip"})
"""Services that render Markdown in a plain message, by a scheme of theirs."""


class ChannelError(ReconcileError):
    """A channel of notifications can't be used."""


@dataclass(frozen=True)
class Channel:
    """One destination of notifications.

    Parameters
    ----------
    url : `str`
        Its URL, with credentials.
    place : `str`
        Where the URL is, for messages.
    plugin : `apprise.NotifyBase`
        What sends to it.
    """

    url: str = field(repr=False)
    place: str
    plugin: Any = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """Place and scheme, for messages."""
        return f"{self.place} ({_scheme(self.url)})"

    @property
    def key(self) -> str:
        """Identifies the URL in the history; slow to calculate, so that the URL can't be guessed from it."""
        salt = b"reconcile channel"
        return hashlib.scrypt(self.url.encode("utf-8", "surrogateescape"), salt=salt, n=1 << 14, r=8, p=1, dklen=16).hex()

    @property
    def renders_markdown(self) -> bool:
        """Whether it renders Markdown, such as links, in a plain message."""
        return not RENDERS_MARKDOWN.isdisjoint(_schemes_of(self.plugin))

    def send(self, title: str, body: str) -> None:
        """Send a message.

        Raises
        ------
        reconciler.watch.channels.ChannelError
            If it was not accepted.
        """
        from apprise import Apprise, NotifyFormat

        sender = Apprise(asset=_make_asset())
        sender.add(self.plugin)
        with _capture_logs() as logs:
            try:
                sent = sender.notify(body=body, title=title, body_format=NotifyFormat.TEXT)
            except Exception as error:  # plugins raise what their libraries raise
                logs.append(str(error))
                sent = False
        if not sent:
            raise ChannelError(f"{self.name}: the notification was not sent: {_explain(logs)}") from None


def find_channels(file: Path | None, environment: Mapping[str, str] | None = None) -> tuple[list[Channel], list[ChannelError]]:
    """Return the channels of ``--notify-file`` or of the environment, and an error for each that can't be used.

    A file that can't be read is one error. From now on, all output of this process masks the URLs.

    Parameters
    ----------
    file : `pathlib.Path` or `None`
        File with one URL on a line; empty lines and those that begin with ``#`` are skipped.
    environment : `Mapping`, optional
        Environment variables; those of this process by default. ``RECONCILE_NOTIFY`` has URLs with blanks between them.
    """
    channels: dict[str, Channel] = {}
    problems: list[ChannelError] = []
    try:
        places = list(_read_urls(file, os.environ if environment is None else environment))
    except ChannelError as error:
        return [], [error]
    for url, _ in places:
        remember(url)
        remember_uri(url)
    for url, place in places:
        try:
            channels.setdefault(url, Channel(url, place, _instantiate(url, place)))
        except ChannelError as error:
            problems.append(error)
    return list(channels.values()), problems


def _read_urls(file: Path | None, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if file is None:
        urls = environment.get(VARIABLE, "").split()
        yield from ((url, VARIABLE if len(urls) == 1 else f"{VARIABLE}, URL {number}") for number, url in enumerate(urls, 1))
        return
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        raise ChannelError(f"{file}: the URLs of notifications can't be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ChannelError(f"{file}: the URLs of notifications can't be read: not UTF-8") from None
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            yield line, f"{file}:{number}"


def _instantiate(url: str, place: str) -> Any:
    try:
        from apprise import Apprise
        from apprise.manager_plugins import NotificationManager
    except ImportError as error:
        raise ChannelError(
            f"{place}: notifications need the library apprise", ("pip install 'rubin-reconciler[notify]'",)
        ) from error
    with _capture_logs():
        try:
            plugin = Apprise.instantiate(url, asset=_make_asset(), suppress_exceptions=True)
        except Exception:  # whatever a plugin makes of it; its message may contain the URL
            plugin = None
    if plugin is not None:
        return plugin
    scheme = _scheme(url)
    known = NotificationManager().schemas()
    if not scheme:
        problem = "it doesn't begin with a scheme such as slack:// or mailto://"
    elif scheme not in known:
        problem = f'no service has the scheme "{scheme}"{did_you_mean(scheme, known)}'
    else:
        problem = f"something is missing or wrong in what follows {scheme}://"
    raise ChannelError(f"{place}: not a valid URL for notifications: {problem}")


def _make_asset() -> Any:
    from apprise import AppriseAsset

    return AppriseAsset(
        app_id="reconcile", app_desc="reconcile drift", image_url_mask="", image_path_mask="", image_url_logo="", async_mode=False
    )


def _scheme(url: str) -> str:
    match = re.match(r"([a-z][a-z0-9+.-]{0,30})://", url, re.IGNORECASE)
    return match[1].lower() if match else ""


def _schemes_of(plugin: Any) -> set[str]:
    value = plugin.secure_protocol or plugin.protocol
    return {value} if isinstance(value, str) else set(value or ())


@contextlib.contextmanager
def _capture_logs() -> Iterator[list[str]]:
    """Keep what apprise logs out of the output, and yield it."""
    messages: list[str] = []

    class Capture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger = logging.getLogger("apprise")
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [Capture()], False
    logger.setLevel(logging.DEBUG)
    try:
        yield messages
    finally:
        logger.handlers, logger.propagate = before[0], before[1]
        logger.setLevel(before[2])


def _explain(logs: list[str]) -> str:
    """Return why sending failed, by numbers in the logs; their text may contain the URL."""
    text = "\n".join(logs)
    if found := re.search(r"\berror=(\d{3})\b", text):
        return f"the server answered with HTTP status {found[1]}"
    if found := re.search(r"\[Errno (\d{1,3})\]", text):
        return os.strerror(int(found[1])).lower()
    if found := re.search(r"Exception: \(?(?:\{[^\n]*?: \()?([45]\d\d), ", text):
        return f"the mail server answered with code {found[1]}"
    if re.search(r"\[Errno -\d|resolve|resolution", text):
        return "the name of its host is not known"
    if re.search(r"timed? ?out", text):
        return "the server didn't answer in time"
    return "the service didn't accept it"
