"""Questions that a system didn't answer in time: for a while it isn't asked again, since each wait would be as long."""

from __future__ import annotations

import time

from reconciler.errors import ObserveError
from reconciler.systems.butler import server
from reconciler.systems.postgresql import Silence, find_statement_limit

SILENCE = 60.0
"""Seconds for which a system that didn't answer in time is not asked again."""
MOST_SILENCES = 3
"""Statements without an answer in time after which it is not asked again; the Butler repeats some writes."""


class SilentSystem:
    """What a repository left unanswered, and the failure that its questions get meanwhile.

    ``uri`` is the location of the repository.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._failure: ObserveError | None = None
        self._until = 0.0
        self._statements: list[float] = []

    def check(self) -> None:
        """Raise the failure of a short time ago again."""
        if self._failure is not None and time.monotonic() < self._until:
            raise self._failure
        self._failure = None

    def note_failure(self, failure: ObserveError) -> None:
        """Let questions fail at once for some time if a server didn't answer one in time."""
        if failure is not self._failure and server.is_silence(failure.__cause__):
            self._failure, self._until = failure, time.monotonic() + SILENCE

    def note_failure_of_opening(self, failure: ObserveError) -> None:
        """Let questions fail at once if it is the failure of a connection that was just noted as unanswered."""
        if self._until > time.monotonic():
            self._failure = failure

    def note(self, silence: Silence) -> None:
        """Let questions fail at once for some time if the database accepts no connection, or left several statements unanswered.

        Statements may be blocked by another session; to wait for each of many resources would take hours.
        """
        now = time.monotonic()
        if silence is Silence.STATEMENT:
            recently = now - MOST_SILENCES * find_statement_limit() - SILENCE
            self._statements = [*(moment for moment in self._statements if moment > recently), now]
            if len(self._statements) < MOST_SILENCES:
                return
            text = f"Butler {self.uri} could not be read: the database did not answer {MOST_SILENCES} statements in time"
            self._failure = ObserveError(text, ("is the server overloaded, or does another session block it? Run again later",))
        self._until = now + SILENCE
