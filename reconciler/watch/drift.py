"""One run of the watch: check states side by side, record each as it ends, and yield what is reported of it."""

from __future__ import annotations

import contextlib
import datetime
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import LockHeld, ReconcileError
from reconciler.watch.acknowledgements import Acknowledgements, acknowledgement_path, load_acknowledgements
from reconciler.watch.check_process import Ended, Job, run_jobs
from reconciler.watch.check_result import CheckResult
from reconciler.watch.evaluation import Memory, evaluate
from reconciler.watch.locations import HistoryError, HistoryLocation
from reconciler.watch.observation import CheckOptions, check_state, failed_check
from reconciler.watch.state_report import StateReport

if TYPE_CHECKING:
    from reconciler.watch.history import History

Checked = tuple[CheckResult, Acknowledgements]
Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """Return the current time in UTC."""
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class DriftOptions:
    """Options of one run.

    Parameters
    ----------
    history : `HistoryLocation`
        Where earlier checks are.
    check : `CheckOptions`
        How each state is checked.
    jobs : `int`
        Largest number of states that are checked at the same time.
    timeout : `float`
        Seconds after which the check of a state is stopped.
    deep_every : `float`
        Seconds after which all members of a state are listed again even if their counts agree.
    keep : `float` or `None`
        Seconds for which the history is kept; `None` keeps everything.
    notify_file : `pathlib.Path` or `None`
        File with the URLs of notifications; `None` takes them from the environment.
    """

    history: HistoryLocation
    check: CheckOptions
    jobs: int = 2
    timeout: float = 1800.0
    deep_every: float = 7 * 86400.0
    keep: float | None = None
    notify_file: Path | None = None


@dataclass(frozen=True)
class Skipped:
    """A state that another run is checking at this moment, and that therefore gets no verdict of this run.

    Parameters
    ----------
    state : `pathlib.Path`
        The state file.
    reason : `str`
        Who is checking it.
    """

    state: Path
    reason: str


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong with the whole run, such as its history; all states are checked and reported all the same.

    Parameters
    ----------
    message : `str`
        One line.
    hints : `tuple` [`str`, ...]
        What to do.
    warning : `bool`
        Whether it leaves the exit code as it is.
    """

    message: str
    hints: tuple[str, ...] = ()
    warning: bool = False


def watch_states(paths: Sequence[Path], options: DriftOptions, now: Clock = utc_now) -> Iterator[StateReport | Skipped | Trouble]:
    """Check states, each path once, and yield what is reported of each as soon as it is known and recorded.

    At the end notifications are sent and old parts of the history are removed, according to the options.

    Parameters
    ----------
    paths : `Sequence` [`pathlib.Path`]
        State files.
    options : `DriftOptions`
        How.
    now : callable
        The clock.
    """
    states = list(dict.fromkeys(path.resolve() for path in paths))
    with contextlib.ExitStack() as stack:
        run = _Run(options, now)
        if run.trouble is not None:
            yield run.trouble
        free: list[Path] = []
        for path in states:
            if run.history is None and options.history.folder is None:
                free.append(path)  # the server that would have the lock can't be used, and waiting for it once is enough
                continue
            try:
                stack.enter_context(_hold_lock(path, options.history))
                free.append(path)
            except LockHeld as error:
                yield Skipped(path, str(error))
            except ReconcileError as error:
                if run.trouble is None:
                    yield Trouble(str(error), error.hints)
                free.append(path)
        if any(_names_repository(path) for path in free):
            _import_butler()
        jobs = [Job(str(path), functools.partial(_check, path, options.check, deep=run.is_deep_due(path))) for path in free]
        for ended in run_jobs(jobs, options.jobs, options.timeout):
            yield run.report(ended)
        yield from run.notify()
        trouble = run.end()
        if trouble is not None:
            yield trouble


class _Run:
    """The history during one run; whatever is wrong with it, every check is reported."""

    def __init__(self, options: DriftOptions, now: Clock) -> None:
        self.options, self.now = options, now
        self.history: History | None = None
        self.trouble: Trouble | None = None
        self.recorded: list[str] = []
        try:
            from reconciler.watch.history import open_history

            history = open_history(options.history)
            history.begin_run(now())
            self.history = history
        except HistoryError as error:
            self.trouble = Trouble(str(error), error.hints)

    def is_deep_due(self, path: Path) -> bool:
        """Return True if all members of a state have to be listed.

        That was last done too long ago or never, or it found something that may be in sync only for a check that lists less.
        """
        if self.history is None:
            return False
        try:
            last = self.history.last_deep(str(path))
            if self.history.found_only_by_listing(str(path)):
                return True
        except HistoryError:
            return False  # recording the check fails in the same way, and is reported
        return last is None or (self.now() - last).total_seconds() >= self.options.deep_every

    def report(self, ended: Ended[Checked]) -> StateReport:
        path = Path(ended.name)
        if ended.result is not None:
            check, acknowledgements = ended.result
        else:
            check = failed_check(path, ended.error, seconds=ended.seconds)
            acknowledgements = Acknowledgements(acknowledgement_path(path))
        now = self.now()
        if self.history is None:
            return evaluate(check, Memory(), acknowledgements, now)
        try:
            report = self.history.record(check, acknowledgements, now)
        except HistoryError as error:
            return evaluate(check, Memory(problems=(f"the check was not recorded: {error}",)), acknowledgements, now)
        self.recorded.append(check.state)
        return report

    def notify(self) -> Iterator[Trouble]:
        """Send notifications about what was recorded. A channel that doesn't accept its message is a warning."""
        from reconciler.watch.channels import find_channels

        channels, problems = find_channels(self.options.notify_file)
        yield from (Trouble(str(problem), problem.hints) for problem in problems)
        if not channels:
            return
        if self.history is None:
            yield Trouble("nothing was notified, because only the history knows what was notified before", warning=True)
            return
        from reconciler.watch.notifications import send_notifications

        for error in send_notifications(self.history, channels, self.recorded, self.now()):
            yield Trouble(str(error), error.hints, warning=not isinstance(error, HistoryError))

    def end(self) -> Trouble | None:
        if self.history is None:
            return None
        try:
            now = self.now()
            self.history.end_run(now)
            if self.options.keep is not None:
                self.history.prune(now - datetime.timedelta(seconds=self.options.keep))
        except HistoryError as error:
            return Trouble(str(error), error.hints)
        return None


def _check(path: Path, options: CheckOptions, *, deep: bool) -> Checked:
    return check_state(path, options, deep=deep), load_acknowledgements(path)


def _names_repository(path: Path) -> bool:
    """Return True if a state file seems to have a [repository] table; its check finds out what is true."""
    try:
        return b"repository" in path.read_bytes()
    except OSError:
        return False


def _import_butler() -> None:
    """Import the Butler before processes are forked; if that fails, each check reports it."""
    from reconciler.systems.butler.connection import import_butler

    with contextlib.suppress(ReconcileError):
        import_butler()


@contextlib.contextmanager
def _hold_lock(path: Path, history: HistoryLocation) -> Iterator[None]:
    """Hold the lock of the check of one state: in the folder of the history, or on its PostgreSQL server."""
    from reconciler.systems import lock

    name = f"drift {path}"
    if history.folder is not None:
        its: lock.Lock = lock.named_lock(name, history.folder)
    else:
        its = lock.database_lock(_server_url(history), name)
    its.acquire()
    try:
        yield
    finally:
        its.release()


def _server_url(history: HistoryLocation) -> object:
    from reconciler.watch.history_database import server_url

    return server_url(history)
