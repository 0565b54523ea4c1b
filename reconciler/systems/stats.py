"""Statistics of one run: SQL statements, Rucio calls, and seconds by phase."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stats:
    """Counters of one run, from the first import to the last answer.

    Parameters
    ----------
    seconds : `dict`
        Seconds by phase, in the order in which phases began; phases that run in parallel overlap.
    statements : `int`
        SQL statements sent by the Butlers of this run.
    calls : `int`
        HTTP requests sent to Rucio.
    report_phase : callable
        Called with the name of each phase when it begins.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    statements: int = 0
    calls: int = 0
    report_phase: Callable[[str], None] = field(default=lambda name: None, compare=False)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent in this context to a phase."""
        self.report_phase(name)
        self.seconds.setdefault(name, 0.0)
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begun

    def count_statement(self) -> None:
        """Count one SQL statement."""
        self.statements += 1

    def count_calls(self, client: Any) -> None:
        """Count each HTTP request that a `rucio.client.Client` sends from now on.

        rucio-clients has no hook for this, and replaces its session when its token expires, so its private method is wrapped.
        """
        send = client._send_request

        def send_counted(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            return send(*arguments, **options)

        client._send_request = send_counted
