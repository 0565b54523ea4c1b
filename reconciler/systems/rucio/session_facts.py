"""What a Rucio server knows of the session of this account: how long its token is valid, and what time it is there."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from reconciler.systems.rucio.facts import parse_time

if TYPE_CHECKING:
    from reconciler.systems.rucio.connection import RucioConnection


@dataclass(frozen=True)
class SessionFacts:
    """The session of an account.

    Parameters
    ----------
    expires_at : `datetime.datetime` or `None`
        When its token ends, in UTC; `None` if the server doesn't report it.
    clock_offset : `float` or `None`
        Seconds by which the clock of the server is ahead of the local one, to a second or so; `None` if it isn't known.
    """

    expires_at: datetime.datetime | None
    clock_offset: float | None


def read_session(connection: RucioConnection) -> SessionFacts:
    """Return the facts about the session, logging in if necessary.

    Raises
    ------
    reconciler.errors.ObserveError
        If the server can't be reached or refuses the credentials.
    """
    return connection.read(lambda: _validate(connection.client), endpoint="validate")


def _validate(client: Any) -> SessionFacts:
    client.whoami()  # renews a token that has expired
    # rucio-clients has no call for this, and the method that sends its requests takes other arguments in each version.
    headers = {"X-Rucio-Auth-Token": client.auth_token}
    url = f"{client.auth_host}/auth/validate"
    response = client.session.get(url, headers=headers, verify=client.ca_cert or False, timeout=client.timeout)
    response.raise_for_status()
    now = datetime.datetime.now(datetime.UTC)
    date = response.headers.get("Date")
    offset = (parsedate_to_datetime(date) - now).total_seconds() if date else None
    return SessionFacts(_find_expiry(response.text), offset)


def _find_expiry(text: str) -> datetime.datetime | None:
    """Find the end of the token in an answer, which is JSON or the text of a Python dictionary, depending on the server."""
    numbers = re.search(r"""['"]lifetime['"]: datetime\.datetime\(([\d, ]+)""", text)
    if numbers:
        parts = [int(part) for part in numbers[1].split(",") if part.strip()]
        return datetime.datetime(*parts[:6], tzinfo=datetime.UTC)  # type: ignore[arg-type, misc]
    written = re.search(r"""['"]lifetime['"]: ?['"]([^'"]+)['"]""", text)
    found = parse_time(written[1]) if written else None
    return None if found is None else found.replace(tzinfo=datetime.UTC)
