"""What a look at the live systems took: statements of SQL, calls of Rucio, seconds by phase."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stats:
    """Counts, from the first import to the last answer.

    Parameters
    ----------
    seconds : `dict`
        By phase, in the order in which phases began; what is looked at side by side overlaps.
    statements : `int`
        Of SQL, by the Butler.
    calls : `int`
        Of HTTP, to Rucio.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    statements: int = 0
    calls: int = 0

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a phase.

        Parameters
        ----------
        name : `str`
            Which; the same name adds up.

        Yields
        ------
        nothing : `None`
            While it lasts.
        """
        self.seconds.setdefault(name, 0.0)
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begun

    def count_statements(self) -> None:
        """Count each statement that any Butler of this process sends from now on."""
        import sqlalchemy

        def heard(*_: Any) -> None:
            self.statements += 1

        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", heard)

    def count_calls(self, client: Any) -> None:
        """Count each question of a client of rucio-clients from now on; it changes its session when its token has expired.

        Parameters
        ----------
        client : `rucio.client.Client`
            Of which server.
        """
        send = client._send_request

        def counted(*words: Any, **options: Any) -> Any:
            self.calls += 1
            return send(*words, **options)

        client._send_request = counted
