"""Endpoints of a Rucio server that fail whatever they are asked about, so that they aren't asked again for each resource.

A try may last as long as the timeout, and a state may name thousands of resources. After two questions in a row that the endpoint
failed to answer, every tried one included, the next ones get the same error at once, until a pause is over.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from reconciler.errors import ObserveError
from reconciler.systems.rucio.errors import IncompleteAnswer, is_transient

MOST_FAILURES = 2
"""Questions in a row that an endpoint may fail to answer."""
PAUSE = 30.0
"""Seconds until an endpoint that failed is asked again."""


@dataclass
class Outages:
    """The last failures of each endpoint."""

    _failures: dict[str, int] = field(default_factory=dict)
    _last: dict[str, tuple[float, ObserveError]] = field(default_factory=dict)

    def check(self, endpoint: str) -> None:
        """Raise the last error of an endpoint that isn't to be asked now, an `ObserveError`."""
        if self._failures.get(endpoint, 0) < MOST_FAILURES:
            return
        since, error = self._last[endpoint]
        if time.monotonic() < since + PAUSE:
            raise ObserveError(str(error), error.hints) from error.__cause__

    def add(self, endpoint: str, error: ObserveError) -> None:
        """Record that an endpoint failed, unless the server's answer is about what it was asked."""
        cause = error.__cause__
        if cause is None or isinstance(cause, IncompleteAnswer | StopIteration) or not is_transient(cause):
            return
        self._last[endpoint] = (time.monotonic(), error)
        self._failures[endpoint] = self._failures.get(endpoint, 0) + 1

    def end(self, endpoint: str) -> None:
        """Record that an endpoint answered."""
        self._failures.pop(endpoint, None)
