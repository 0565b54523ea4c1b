"""Opening a Butler repository, and telling one that is there from one that is not, or only half."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from reconciler.errors import ObserveError, clean
from reconciler.systems.butler.errors import explain, reading, writing

WORTH_ANALYZING = 5_000
UNDESCRIBED = ("LookupError", "MissingManagerError")
"""What the Butler raises when attributes of a registry are missing."""
LAST_DESCRIBED = "config:dimensions.json"
"""The attribute that making a registry writes last, each in a transaction of its own, after all tables."""

if TYPE_CHECKING:
    from lsst.daf.butler import Butler


@dataclass
class Opening:
    """A place where a repository is, or is going to be; what was read of it is kept until something is changed.

    Parameters
    ----------
    uri : `str`
        Its location, or its label in the repository index.
    """

    uri: str

    def __post_init__(self) -> None:
        self._open: dict[bool, Butler] = {}
        self._config: Any = None
        self._caching = contextlib.ExitStack()
        self._kept: dict[Any, Any] = {}

    def forget(self) -> None:
        """Drop what was read."""
        self._kept.clear()
        self._caching.close()
        for writeable, butler in self._open.items():
            butler.registry.refresh()
            self._cache(butler, writeable)

    def close(self) -> None:
        """Close what was opened."""
        self.forget_connections()

    def forget_connections(self) -> None:
        """Drop connections, so that the next question opens the repository anew."""
        self._caching.close()
        for butler in self._open.values():
            with contextlib.suppress(Exception):
                close = getattr(butler, "close", None)  # lsst-daf-butler 29 has none
                if close is not None:
                    close()
        self._open.clear()
        self._kept.clear()
        self._config = None

    def _keep(self, key: Any, make: Any) -> Any:
        if key not in self._kept:
            with reading(self.uri):
                self._kept[key] = make()
        return self._kept[key]

    @property
    def status(self) -> Literal["absent", "half-made", "ready"]:
        """Whether the repository is there: a yaml without tables is what an interrupted creation leaves."""
        status: Literal["absent", "half-made", "ready"] = self._keep("status", self._look)
        return status

    def _look(self) -> Literal["absent", "half-made", "ready"]:
        prepare()
        from sqlalchemy.exc import OperationalError, ProgrammingError

        if not _has_config(self.uri):
            return "absent"
        try:
            self.open()
        except ObserveError as error:
            cause = error.__cause__
            no_tables = isinstance(cause, OperationalError | ProgrammingError) and _lacks_tables(clean(cause))
            if no_tables or (type(cause).__name__ in UNDESCRIBED and not _is_described(self.config())):
                _check_empty(self.uri, self.config())
                return "half-made"
            raise
        return "ready"

    def config(self) -> Any:
        """Read the repository's configuration, once: completing it by its defaults takes a quarter of opening a repository.

        Returns
        -------
        config : `lsst.daf.butler.ButlerConfig`
            Complete.
        """
        if self._config is None:
            from lsst.daf.butler import ButlerConfig

            self._config = ButlerConfig(self.uri)
        return self._config

    def open(self, *, writeable: bool = False) -> Butler:
        """Open the repository.

        Parameters
        ----------
        writeable : `bool`
            Whether it is to be changed.

        Returns
        -------
        butler : `lsst.daf.butler.Butler`
            The same each time; once one was opened to write, that one, since opening it may have made tables that another
            does not know of.

        Raises
        ------
        reconciler.errors.ObserveError
            If it can't be opened.
        """
        if True in self._open:
            return self._open[True]
        if writeable not in self._open:
            prepare()
            from lsst.daf.butler import Butler

            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._open[writeable] = Butler.from_config(self.config(), writeable=writeable)
            except Exception as error:
                message, hints = explain(error)
                raise ObserveError(f"Butler {self.uri} could not be opened: {message}", hints) from error
            if writeable:
                self._caching.close()
                self._open.pop(False, None)
            self._cache(self._open[writeable], writeable)
        return self._open[writeable]

    def _cache(self, butler: Butler, writeable: bool) -> None:
        """Let a Butler that only reads look up collections once, and not for each query anew."""
        if not writeable:
            self._caching.enter_context(butler.registry.caching_context())

    @property
    def many_writers(self) -> bool:
        """Whether several may write at the same time; a SQLite database has one writer."""
        return bool(registry_of(self.config())[0].get_backend_name() != "sqlite")

    def analyze(self, added: int) -> None:
        """Let SQLite learn how its tables have grown; without, it takes the long way through some queries.

        Parameters
        ----------
        added : `int`
            Datasets that were added; few change nothing.
        """
        if added < WORTH_ANALYZING or self.many_writers:
            return
        import sqlalchemy

        engine = sqlalchemy.create_engine(registry_of(self.config())[0], poolclass=sqlalchemy.NullPool)
        with writing(self.uri), engine.begin() as connection:
            connection.execute(sqlalchemy.text("analyze"))

    @property
    def ready(self) -> bool:
        """Whether there is anything to ask."""
        return self.status == "ready"


def _has_config(uri: str) -> bool:
    """Tell whether there is a butler.yaml; ``uri`` may be a folder, the file itself, or a label of the repository index."""
    from lsst.daf.butler import Butler
    from lsst.resources import ResourcePath

    place = ResourcePath(Butler.get_repo_uri(uri, return_label=True))
    if place.getExtension() not in (".yaml", ".yml"):
        place = ResourcePath(place, forceDirectory=True).join("butler.yaml")
    return bool(place.exists())


def registry_of(config: Any) -> tuple[Any, str | None]:
    """Find the database of a registry.

    Parameters
    ----------
    config : `lsst.daf.butler.Config`
        Of a repository, or the seed of one.

    Returns
    -------
    url : `sqlalchemy.engine.URL`
        With credentials, as the Butler itself finds them.
    namespace : `str` or `None`
        The schema in it.
    """
    from lsst.daf.butler.registry import RegistryConfig

    registry = RegistryConfig(config)
    folder = getattr(config, "configDir", None)
    if folder is not None:
        registry.replaceRoot(folder.ospath if folder.isLocal else str(folder))
    return registry.connectionString, registry.get("namespace")


def _is_described(config: Any) -> bool:
    """Tell whether a registry has all of its attributes, as one has whose making was not interrupted."""
    import sqlalchemy

    url, namespace = registry_of(config)
    attributes = sqlalchemy.table("butler_attributes", sqlalchemy.column("name"), schema=namespace)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.select(attributes.c.name).where(attributes.c.name == LAST_DESCRIBED))
        return found.first() is not None


def _check_empty(uri: str, config: Any) -> None:
    """See that a repository without tables is one whose creation was interrupted, and not one whose database is lost.

    Raises
    ------
    reconciler.errors.ObserveError
        If files are in its datastore, or its database lies in a folder that is not there.
    """
    from lsst.resources import ResourcePath

    url, _ = registry_of(config)
    if url.get_backend_name() == "sqlite" and url.database and not os.path.isdir(os.path.dirname(url.database)):
        hint = "is a disk not mounted? Nothing is made anew while that may be"
        raise ObserveError(f"Butler {uri}: the folder of its database {url.database} is not there", (hint,))
    root = str(config["datastore", "root"]).replace("<butlerRoot>", str(config.configDir))
    for _, _, files in ResourcePath(root, forceDirectory=True).walk():
        kept = [name for name in files if name != "butler.yaml" and not name.startswith("gen3.")]
        if kept:
            hint = "this is no interrupted creation; restore the database, or remove butler.yaml to begin anew"
            raise ObserveError(
                f"Butler {uri}: its registry has no tables, and there are files in its datastore ({kept[0]})", (hint,)
            )


def _lacks_tables(text: str) -> bool:
    return any(
        sign in text for sign in ("no such table", "UndefinedTable", "does not exist\nLINE", "unable to open database file")
    )


def import_butler() -> None:
    """Import the Butler: the dearest step of many a check, so that it is told apart from what follows.

    Raises
    ------
    reconciler.errors.ObserveError
        If it is not installed here.
    """
    try:
        import lsst.daf.butler  # noqa: F401
    except ImportError as error:
        raise ObserveError(f"the Butler can't be imported: {error}", ("is the stack set up in this shell?",)) from error


@functools.cache
def prepare() -> None:
    """Silence what the Butler and its libraries tell a terminal on their own."""
    import astropy  # noqa: F401  # its logger is of a class of its own, which it makes when it is imported

    for name in ("lsst", "astropy", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
