"""The connection to a Butler repository, and the cache of what was read through it.

A repository is absent, ready, or left half-made by an interrupted creation: a ``butler.yaml`` whose registry lacks its tables.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import warnings
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from reconciler import redaction
from reconciler.errors import ObserveError, ReconcileError, WriteRefused
from reconciler.systems.butler import server
from reconciler.systems.butler.errors import as_observe_error, translate_read_errors, translate_write_errors
from reconciler.systems.butler.half_made import check_interrupted_creation, is_half_made
from reconciler.systems.butler.registry_database import open_database, registry_of
from reconciler.systems.butler.repository_index import describe_absence, find_config_file
from reconciler.systems.butler.silence import SilentSystem
from reconciler.systems.butler.statement_counting import count_statements, statements_of_opening
from reconciler.systems.butler.universe import find_unreadable_universe, read_universe
from reconciler.systems.postgresql import Limits, limit_waits, limited_waits

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

T = TypeVar("T")
RepositoryStatus = Literal["absent", "half-made", "ready"]

WORTH_ANALYZING = 5_000
"""Added datasets from which on SQLite's statistics are refreshed."""


class ButlerConnection:
    """The Butlers that are open on one repository, and a cache of answers that lasts until something is changed.

    ``uri`` is the location of the repository, or its label in the repository index; the repository may not exist yet.
    ``on_statement`` is called for each SQL statement that these Butlers send. Unless ``may_create``, an absent repository is
    an error.
    """

    def __init__(self, uri: str, on_statement: Callable[[], None] | None = None, *, may_create: bool = True) -> None:
        self.uri = uri
        self.may_create = may_create
        self.on_statement = on_statement
        self._butlers: dict[bool, Butler] = {}
        self._config: Any = None
        self._collection_caches = contextlib.ExitStack()
        self._answers: dict[Hashable, Any] = {}
        self._silence = SilentSystem(uri)
        self._limits = Limits(on_silence=self._silence.note)
        self.label = ""
        """What the state calls the repository, if that may be a label of the repository index."""
        self.read_only = False
        """Whether opening the repository for writing is refused."""

    def cached(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return the cached answer to a question, reading it the first time.

        Raises
        ------
        reconciler.errors.ReconcileError
            If ``read`` raises one, which is passed on; every other error becomes an `ObserveError`.
        """
        if key not in self._answers:
            try:
                with translate_read_errors(self.uri):
                    self._answers[key] = read()
            except ObserveError as error:
                self._silence.note_failure(error)
                raise
        answer: T = self._answers[key]
        return answer

    def forget(self) -> None:
        """Drop all cached answers, and let open Butlers read collections and dataset types again.

        If their database doesn't answer, they are closed: the next question opens the repository again, and reports the fault.
        """
        from sqlalchemy.exc import SQLAlchemyError

        self._answers.clear()
        self._collection_caches.close()
        try:
            for writeable, butler in self._butlers.items():
                butler.registry.refresh()
                self._cache_collections(butler, writeable)
        except SQLAlchemyError:
            self.close()

    def close(self) -> None:
        """Close all Butlers and clear the cache; the next question opens the repository again."""
        self._collection_caches.close()
        for butler in self._butlers.values():
            with contextlib.suppress(Exception):
                close = getattr(butler, "close", None)  # lsst-daf-butler 29 has none
                if close is not None:
                    close()
        self._butlers.clear()
        self._answers.clear()
        self._config = None

    @property
    def status(self) -> RepositoryStatus:
        """One of absent, ready and half-made.

        Raises
        ------
        reconciler.errors.ObserveError
            If the Butler isn't installed, the repository exists and can't be opened, or it is absent and may not be created.
        """
        return self.cached("status", self._read_status)

    @property
    def ready(self) -> bool:
        """Whether the repository can be queried; raises ObserveError as `status` does."""
        return self.status == "ready"

    def _read_status(self) -> RepositoryStatus:
        import_butler()
        silence_loggers()
        if not self._has_config():
            if not self.may_create:
                raise describe_absence(self.uri, self.label)
            return "absent"
        try:
            self.open()
        except ObserveError as error:
            if not is_half_made(self.config(), error.__cause__):
                raise
            check_interrupted_creation(self.uri, self.config())
            return "half-made"
        return "ready"

    def _has_config(self) -> bool:
        """Return True if there is a ``butler.yaml``."""
        place = find_config_file(self.uri)
        if place.scheme not in server.WEB_SCHEMES:
            return bool(place.exists())
        self._silence.check()
        try:
            self.config()
        except Exception as error:  # whatever reading YAML from a web server raises
            if server.check_web_config(place, self.uri, error):
                raise
            return False
        return True

    def config(self) -> Any:
        """Return the complete `lsst.daf.butler.ButlerConfig`, read once: merging its defaults takes a quarter of opening.

        If it can't be read, the Butler's own exception is raised.
        """
        if self._config is None:
            from lsst.daf.butler import ButlerConfig

            self._config = ButlerConfig(self.uri)
            redaction.remember_uri(str(self._config.get(("registry", "db"), "")))
        return self._config

    def open(self, *, writeable: bool = False) -> Butler:
        """Return an open Butler.

        Once one was opened for writing, that one is returned for reading too: opening it may have created tables that another
        doesn't know of.

        Raises
        ------
        reconciler.errors.ObserveError
            If it can't be opened.
        reconciler.errors.WriteRefused
            If it is to be opened for writing in a check that only reads.
        reconciler.errors.RepositoryReadOnly
            If it is to be opened for writing and is a Butler server.
        """
        if writeable and self.read_only:
            raise WriteRefused(f"Butler {self.uri} was to be opened for writing in a check that only reads")
        self._silence.check()
        if True in self._butlers:
            return self._butlers[True]
        if writeable not in self._butlers:
            silence_loggers()
            butler = self._open(writeable)
            if writeable:
                self._collection_caches.close()
                self._butlers.pop(False, None)
            self._butlers[writeable] = butler
            self._cache_collections(butler, writeable)
        return self._butlers[writeable]

    def _open(self, writeable: bool) -> Butler:
        try:
            if server.is_server(self.config()):
                if writeable:
                    raise server.refuse_writing(self.uri)
                return server.open_client(self.config(), self.uri)
            return self._open_direct(writeable)
        except ReconcileError:
            raise
        except Exception as error:
            failure = self._explain_universe(error) or as_observe_error(f"Butler {self.uri} could not be opened", error)
            self._silence.note_failure_of_opening(failure)
            raise failure from error

    def _open_direct(self, writeable: bool) -> Butler:
        from lsst.daf.butler import Butler

        with warnings.catch_warnings(), statements_of_opening(self.on_statement), limited_waits(self._limits):
            warnings.simplefilter("ignore")
            butler = Butler.from_config(self.config(), writeable=writeable)
        engine = butler._registry._db._engine  # a Butler has no public attribute for its engine
        limit_waits(engine, self._limits)
        if self.on_statement is not None:
            count_statements(engine, self.on_statement)
        return butler

    def _explain_universe(self, error: Exception) -> ObserveError | None:
        """Return the error about a universe that the installed Butler can't read, if opening the repository failed over it."""
        from sqlalchemy.exc import SQLAlchemyError

        if self._config is None or isinstance(error, SQLAlchemyError | OSError) or server.is_server(self._config):
            return None
        with contextlib.suppress(Exception):  # the failure that is explained here is the one to report
            return find_unreadable_universe(self.uri, read_universe(self._config))
        return None

    def _cache_collections(self, butler: Butler, writeable: bool) -> None:
        """Let a read-only Butler read collections once instead of for each query."""
        if not writeable:
            self._collection_caches.enter_context(butler.registry.caching_context())

    @property
    def is_server(self) -> bool:
        """Whether the repository is a Butler server, which only answers questions; raises ObserveError as `status` does."""
        return self.ready and server.is_server(self.config())

    @property
    def identity(self) -> str:
        """The location of the registry and its namespace, or of the Butler server, without credentials.

        It is empty while the repository is absent or half-made.

        Raises
        ------
        reconciler.errors.ObserveError
            As `status` does.
        """
        return self.cached("identity", self._find_identity) if self.ready else ""

    def _find_identity(self) -> str:
        if self.is_server:
            return server.find_place(self.config())
        url, namespace = registry_of(self.config())
        database = os.path.realpath(url.database) if url.get_backend_name() == "sqlite" and url.database else url.database
        host = url.host or url.query.get("host")
        return f"{url.get_backend_name()}://{host or ''}:{url.port or ''}/{database} {namespace or ''}".strip()

    @property
    def many_writers(self) -> bool:
        """Whether the registry isn't SQLite, which allows one writer at a time. Raises what `config` raises."""
        return server.is_server(self.config()) or bool(registry_of(self.config())[0].get_backend_name() != "sqlite")

    def analyze(self, added: int) -> None:
        """Refresh SQLite's table statistics, without which some queries are planned badly.

        Does nothing on PostgreSQL, or if fewer than `WORTH_ANALYZING` datasets were added.

        Raises
        ------
        reconciler.errors.ApplyError
            If it fails.
        """
        if added < WORTH_ANALYZING or self.many_writers:
            return
        import sqlalchemy

        with translate_write_errors(), open_database(registry_of(self.config())[0]).begin() as connection:
            connection.execute(sqlalchemy.text("analyze"))


def import_butler() -> None:
    """Import the Butler as a separate step, because it is the slowest part of most runs and --stats times it on its own.

    Raises
    ------
    reconciler.errors.ObserveError
        If it is not installed.
    """
    try:
        import lsst.daf.butler  # noqa: F401
    except ImportError as error:
        raise ObserveError(f"the Butler can't be imported: {error}", ("is the stack set up in this shell?",)) from error


@functools.cache
def silence_loggers() -> None:
    """Keep the Butler and its libraries from logging to the terminal.

    Their loggers are set to CRITICAL for the whole process, so a calling program's own handlers get no errors of theirs either.
    """
    import astropy  # noqa: F401  # it creates its logger, of its own class, when it is imported

    for name in ("lsst", "astropy", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
