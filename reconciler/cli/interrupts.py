"""SIGINT, SIGTERM and SIGHUP: they end the program within two seconds, also while a server doesn't answer.

Python runs a signal handler only between two steps of the main thread, and that thread may be waiting in a library, or for
another thread that does. So signals are received by a thread of their own. It asks the current run to stop, and ends the process
if that takes longer than `GRACE`. This is as safe as SIGKILL: the operating system releases the locks, and databases roll back.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from reconciler.cli.console import echo, print_error, restore_terminal
from reconciler.early_signals import INTERRUPTED, SIGNALS
from reconciler.errors import ReconcileError
from reconciler.systems.bulk import StopRequest

GRACE = 1.2
"""Seconds that a run has to end between two actions after the first signal."""
LAST_WORDS = 0.4
"""Seconds for the last lines of output and journal, which may be blocked: nobody reads a full pipe."""


class Interrupts:
    """Receives the signals while this context lasts; only the main thread can install it, in others it does nothing."""

    _current: Interrupts | None = None

    def __init__(self) -> None:
        self._run: StopRequest | None = None
        self._last_words: Callable[[], None] = lambda: None
        self._requested = False
        self._timer: threading.Timer | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._receiving, self._sending = os.pipe()
            os.set_blocking(self._sending, False)
            threading.Thread(target=self._receive, daemon=True).start()
            self._before_fd = signal.set_wakeup_fd(self._sending, warn_on_full_buffer=False)
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                    self._before[number] = signal.signal(number, _leave_to_thread)
            Interrupts._current = self
        return self

    def __exit__(self, *exception: object) -> None:
        if Interrupts._current is not self:
            return
        Interrupts._current = None
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        os.close(self._sending)  # ends the thread
        if self._timer is not None:
            self._timer.cancel()

    def _receive(self) -> None:
        while received := os.read(self._receiving, 1):
            if received[0] in SIGNALS:
                self._handle()
        os.close(self._receiving)

    def _handle(self) -> None:
        run = self._run
        if run is None or self._requested:
            self._end()
        self._requested = True
        if run is not None:
            run.requested = True
        self._timer = threading.Timer(GRACE, self._end)
        self._timer.daemon = True
        self._timer.start()
        echo(err=True)
        echo("stopping; Ctrl-C again stops at once", err=True)

    def _end(self) -> None:
        """End the process, whatever its other threads wait for."""
        words = threading.Thread(target=self._say_last_words, daemon=True)
        words.start()
        words.join(LAST_WORDS)
        if workers := sys.modules.get("reconciler.systems.workers"):  # importing it takes 25 ms, and few commands need it
            workers.end_forkserver()
        os._exit(INTERRUPTED)

    def _say_last_words(self) -> None:
        restore_terminal()
        run = self._run
        if run is not None:
            try:
                run.record()
            except ReconcileError as error:
                print_error(error)
            self._last_words()
        elif not self._requested:
            echo(err=True)
            echo("interrupted", err=True)
        sys.stdout.flush()
        sys.stderr.flush()


def _leave_to_thread(number: int, frame: Any) -> None:
    """Do nothing: the number of the signal is already in the pipe."""


@contextlib.contextmanager
def interruptible_run(say_last_words: Callable[[], None]) -> Iterator[StopRequest]:
    """Let the first signal ask a run to stop while this context lasts, in place of ending the program at once.

    ``say_last_words`` is called after the run was recorded as interrupted, if the process ends before the run does.
    """
    run, interrupts = StopRequest(), Interrupts._current
    if interrupts is not None:
        interrupts._run, interrupts._last_words = run, say_last_words
    try:
        yield run
    finally:
        if interrupts is not None:
            interrupts._run = None
