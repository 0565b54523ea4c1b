"""The connection to a Rucio server: the client, the retries, and a cache of what the server answered.

rucio-clients reads its configuration from one file for the whole process, so two states in one process could get each other's;
and it retries without waiting, so its own retries are switched off.
"""

from __future__ import annotations

import configparser
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reconciler import redaction
from reconciler.errors import ObserveError
from reconciler.systems.rucio.errors import Attempts, translate_read_errors, translate_write_errors
from reconciler.systems.rucio.outages import Outages
from reconciler.systems.rucio.read_only import refuse_writes

T = TypeVar("T")
HOMES = ("RUCIO_HOME", "VIRTUAL_ENV", "CONDA_PREFIX")
"""Environment variables with folders in whose ``etc`` a rucio.cfg may be, in the order in which the client searches."""


@dataclass(frozen=True)
class RucioConnectionSettings:
    """How a server is reached.

    Parameters
    ----------
    config : `str` or `None`
        Path of a rucio.cfg; if `None`, ``RUCIO_CONFIG`` or the one that the client finds.
    account : `str` or `None`
        Account; that of the configuration if `None`.
    timeout : `float`
        Seconds to wait for a response.
    """

    config: str | None = None
    account: str | None = None
    timeout: float = 60.0


@dataclass
class RucioConnection:
    """A connection to one server, opened on first use; ``counted`` receives the client then, to count its calls.

    With ``read_only``, every request that could change something is refused before it is sent. Both are used when it logs in, so
    a later change of them has no effect.
    """

    settings: RucioConnectionSettings
    counted: Callable[[Any], None] | None = None
    read_only: bool = False
    _client: Any = None
    _answers: dict[Hashable, Any] = field(default_factory=dict)
    _outages: Outages = field(default_factory=Outages)
    _connecting: threading.Lock = field(default_factory=threading.Lock)

    def connect(self) -> None:
        """Log in, unless this is done.

        While it logs in, ``RUCIO_CONFIG`` is set in the environment of the process to the configuration of this connection, if
        it has one.

        Raises
        ------
        reconciler.errors.ObserveError
            If the server can't be reached or refuses the credentials.
        """
        with self._connecting:  # of several threads, one logs in
            if self._client is None:
                self._client = self._log_in()

    def _log_in(self) -> Any:
        os.environ.setdefault("RUCIO_CLIENT_MODE", "1")
        _check_configuration(self.settings)
        attempts = Attempts()
        with translate_read_errors(self.place, attempts), _use_configuration(_find_configuration(self.settings)):
            from rucio.client import Client

            quiet = logging.getLogger("rucio-quiet")
            quiet.setLevel(logging.CRITICAL + 1)
            options = {"account": self.settings.account, "timeout": self.settings.timeout, "user_agent": "reconcile"}
            client = attempts.call(lambda: Client(logger=quiet, **options))
            client.REQUEST_RETRIES = client.request_retries = 1  # `Attempts` waits between tries; the client does not
            if self.read_only:
                refuse_writes(client)
            if self.counted is not None:
                self.counted(client)
            redaction.remember(str(getattr(client, "auth_token", "") or ""))
            return client

    @property
    def client(self) -> Any:
        """The client of rucio-clients, logged in; raises what `connect` raises."""
        self.connect()
        return self._client

    @property
    def account(self) -> str:
        """The account that acts; logs in to find it, and raises what `connect` raises."""
        return str(self.client.account)

    def place(self) -> str:
        """Return the server's address as the configuration has it, without a query; a phrase if it doesn't have one.

        It is the same before and after `connect`, as locks and saved plans need it.
        """
        fallback = "the address in rucio.cfg"
        try:
            return _read_configuration(self.settings).get("client", "rucio_host", fallback=fallback)
        except ObserveError:  # `connect` reports it
            return fallback

    def ping(self) -> None:
        """Raise `ObserveError` unless the server and its database answer, or did since the last `forget`."""
        self.ask("whoami", lambda: self.client.whoami())

    def ask(self, key: Hashable, question: Callable[[], T], what: str = "") -> T:
        """Return the answer to a question, from the cache or by `read`.

        ``key`` identifies the question; it is the name of the endpoint, or a tuple that begins with that.
        Raises what `read` raises.
        """
        if key not in self._answers:
            self._answers[key] = self.read(question, what, endpoint=str(key[0]) if isinstance(key, tuple) else str(key))
        answer: T = self._answers[key]
        return answer

    def read(self, question: Callable[[], T], what: str = "", *, endpoint: str) -> T:
        """Return the answer to a question, with retries and past the cache.

        ``what`` is the subject of the question in messages, such as a DID; it is empty for a question about many.
        While an ``endpoint`` fails whatever it is asked about, it isn't asked; see `reconciler.systems.rucio.outages`.

        Raises
        ------
        reconciler.errors.ObserveError
            If there is no answer that can be trusted.
        """
        self.connect()
        attempts = Attempts()
        self._outages.check(endpoint)
        try:
            with translate_read_errors(self.place, attempts, what):
                answer = attempts.call(question)
        except ObserveError as error:
            self._outages.add(endpoint, error)
            raise
        self._outages.end(endpoint)
        return answer

    def is_cached(self, key: Hashable) -> bool:
        """Return whether an answer is in the cache."""
        return key in self._answers

    def cached(self, key: Hashable) -> Any:
        """Return an answer that is in the cache; `KeyError` if it isn't."""
        return self._answers[key]

    def cache(self, key: Hashable, answer: object) -> None:
        """Put an answer into the cache, such as one part of a bulk answer."""
        self._answers[key] = answer

    def forget_some(self, endpoint: str) -> None:
        """Drop the cached answers of one endpoint."""
        for key in [key for key in self._answers if isinstance(key, tuple) and key[0] == endpoint]:
            del self._answers[key]

    def forget(self) -> None:
        """Drop the cached answers."""
        self._answers.clear()

    def write(self, what: str, call: Callable[[Any], T]) -> T:
        """Change something on the server: call once with the client; ``what`` names the change in messages.

        Raises
        ------
        reconciler.errors.ApplyError
            If it failed. It is never retried: the caller reads again first.
        reconciler.errors.ObserveError
            If it can't log in; then nothing was sent.
        reconciler.errors.WriteRefused
            If the connection only reads.
        """
        client = self.client
        with translate_write_errors(self.place, what):
            return call(client)


@contextlib.contextmanager
def _use_configuration(path: str) -> Iterator[None]:
    """Make the client read this configuration file, instead of one that it has cached for another state."""
    before = os.environ.get("RUCIO_CONFIG")
    if path:
        os.environ["RUCIO_CONFIG"] = path
    try:
        from rucio.common.config import clean_cached_config

        clean_cached_config()
        yield
    finally:
        if before is None:
            os.environ.pop("RUCIO_CONFIG", None)
        else:
            os.environ["RUCIO_CONFIG"] = before


def _find_configuration(settings: RucioConnectionSettings) -> str:
    """Return the path of the configuration file, which the client would find, too; empty if there is none.

    The folders are those of ``rucio.common.config.get_config_dirs``, whose import takes longer than this.
    """
    named = settings.config or os.environ.get("RUCIO_CONFIG")
    if named:
        return named
    folders = [os.path.join(os.environ[name], "etc") for name in HOMES if name in os.environ]
    paths = [os.path.join(folder, "rucio.cfg") for folder in (*folders, "/opt/rucio/etc")]
    return next(filter(os.path.exists, paths), "")


def _check_configuration(settings: RucioConnectionSettings) -> None:
    """Report a missing or invalid configuration file before the client searches for others, and keep its password secret."""
    path = _find_configuration(settings)
    if path and not os.path.exists(path):
        raise ObserveError(f"can't query Rucio: {path}: no such file", ("Is RUCIO_CONFIG right?",))
    redaction.remember(_read_configuration(settings).get("client", "password", fallback=""))


def _read_configuration(settings: RucioConnectionSettings) -> configparser.ConfigParser:
    """Read the configuration file; the result is empty if there is none.

    Raises
    ------
    reconciler.errors.ObserveError
        If it is invalid. The parser's own message isn't kept, because it quotes the line, which may contain a password.
    """
    path = _find_configuration(settings)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read([path])
    except configparser.Error as error:
        hint = "It needs lines such as `rucio_host = …` in a section [client], each key and section once."
        raise ObserveError(f"can't query Rucio: {path}:{_find_line(error)}: invalid line", (hint,)) from None
    except UnicodeDecodeError:
        raise ObserveError(f"can't query Rucio: {path}: is not UTF-8 text", ("Is RUCIO_CONFIG right?",)) from None
    return parser


def _find_line(error: configparser.Error) -> int:
    """Return the number of the line at which the parser failed."""
    number: int = error.errors[0][0] if getattr(error, "errors", None) else error.lineno  # type: ignore[attr-defined]
    return number
