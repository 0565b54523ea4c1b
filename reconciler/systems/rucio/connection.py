"""The connection to a Rucio server: its client, whom it speaks for, and what it answered so far.

The client of rucio-clients reads its configuration from a file of the whole process, so two states of one process could meet
each other's; and it tries again without waiting, so ours does.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reconciler.errors import ObserveError
from reconciler.state.settings import RucioSettings
from reconciler.systems.rucio.errors import asking, telling

T = TypeVar("T")


@dataclass
class Connection:
    """A Rucio server, reached by the client of rucio-clients; what it answered is kept.

    Parameters
    ----------
    settings : `reconciler.state.settings.RucioSettings`
        How it is reached.
    counted : callable or `None`
        Given the client once there is one, to count its calls.
    """

    settings: RucioSettings
    _kept: dict[Any, Any] = field(default_factory=dict)
    _client: Any = None
    counted: Callable[[Any], None] | None = None

    def forget(self) -> None:
        """Drop what was read."""
        self._kept.clear()

    @property
    def client(self) -> Any:
        """The client of rucio-clients.

        Raises
        ------
        reconciler.errors.ObserveError
            If the server can't be reached or refuses the credentials.
        """
        if self._client is None:
            os.environ.setdefault("RUCIO_CLIENT_MODE", "1")
            _check_configured(self.settings)
            with asking(self.place) as retried, _configured(self.settings.config):
                from rucio.client import Client

                quiet = logging.getLogger("rucio-quiet")
                quiet.setLevel(logging.CRITICAL + 1)
                timeout = self.settings.timeout
                self._client = retried(
                    lambda: Client(account=self.settings.account, timeout=timeout, user_agent="reconcile", logger=quiet)
                )
                self._client.REQUEST_RETRIES = 1  # ours wait between tries; its own do not
                self._client.request_retries = 1
                if self.counted is not None:
                    self.counted(self._client)
        return self._client

    @property
    def host(self) -> str:
        return str(self.client.host)

    def place(self) -> str:
        """Say which server is meant, for messages; asks nothing of it."""
        if self._client is not None:
            return str(self._client.host)
        import configparser

        parser = configparser.ConfigParser(interpolation=None)
        parser.read([self.settings.config or os.environ.get("RUCIO_CONFIG", "")])
        return parser.get("client", "rucio_host", fallback="the address in rucio.cfg")

    @property
    def account(self) -> str:
        """The account that acts."""
        return str(self.client.account)

    def _ask(self, key: Any, question: Callable[[], T]) -> T:
        if key not in self._kept:
            client = self.client
            del client
            with asking(self.place) as retried:
                self._kept[key] = retried(question)
        kept: T = self._kept[key]
        return kept

    def ping(self) -> None:
        """See that the server and its database answer.

        Raises
        ------
        reconciler.errors.ObserveError
            If they do not.
        """
        self._ask("alive", lambda: self.client.whoami())

    def write(self, what: str, call: Callable[[Any], T]) -> T:
        """Do one thing that changes the server.

        Parameters
        ----------
        what : `str`
            What is done, for messages.
        call : callable
            Given the client of rucio-clients.

        Returns
        -------
        result : `object`
            What the call returns.

        Raises
        ------
        reconciler.errors.ApplyError
            If it failed. Never tried twice: who calls reads again first.
        """
        client = self.client
        with telling(self.place, what):
            return call(client)


@contextlib.contextmanager
def _configured(path: str | None) -> Iterator[None]:
    """Let the client read one configuration file, and not the one that it has read for another state."""
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


def _check_configured(settings: RucioSettings) -> None:
    """Say early that there is no configuration of the client."""
    path = settings.config or os.environ.get("RUCIO_CONFIG")
    if path and not os.path.exists(path):
        raise ObserveError(f"Rucio could not be asked: {path}: no such file", ("is RUCIO_CONFIG right?",))
