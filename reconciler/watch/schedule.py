"""The crontab line and the systemd units that run a watch, as text. Nothing is installed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from reconciler.errors import ReconcileError
from reconciler.redaction import find_uri_credential
from reconciler.report.formatting import format_seconds

UNIT = "reconcile-drift"
MINUTE, HOUR = 17, 4
"""When a watch runs that doesn't run several times an hour: not on the hour, when everything else does."""
VARIABLES = (
    "PYTHONPATH",
    "DAF_BUTLER_CONFIG_PATH",
    "DAF_BUTLER_PLUGINS",
    "DAF_BUTLER_REPOSITORIES",
    "DAF_BUTLER_REPOSITORY_INDEX",
    "LSST_DB_AUTH",
    "PGPASSFILE",
    "RECONCILE_JOURNAL",
    "RUCIO_ACCOUNT",
    "RUCIO_CONFIG",
    "RUCIO_HOME",
    "X509_USER_PROXY",
    "XDG_STATE_HOME",
)
"""Variables that a check needs where they are set, and that neither cron nor systemd passes on. None contains a credential."""


class InvalidInterval(ReconcileError):
    """An interval that a crontab line can't express."""


def select_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of the variables that a check needs, with the paths that exist made absolute.

    A variable whose value is a URI with a credential is left out.
    """
    chosen = {*VARIABLES, *(name for name in environment if name.startswith("RECONCILE_VAR_"))}
    found = {name: environment[name] for name in sorted(chosen) if environment.get(name)}
    return {name: _make_absolute(value) for name, value in found.items() if not find_uri_credential(value)}


def _make_absolute(value: str) -> str:
    return os.pathsep.join(os.path.abspath(part) if part and os.path.exists(part) else part for part in value.split(os.pathsep))


def write_schedule(words: Sequence[str], environment: Mapping[str, str], every: float) -> Iterator[str]:
    """Yield the lines of a crontab entry, a service and a timer.

    Parameters
    ----------
    words : `Sequence` [`str`]
        The command, with absolute paths.
    environment : `Mapping` [`str`, `str`]
        Variables to set.
    every : `float`
        Seconds between two runs.

    Raises
    ------
    reconciler.watch.schedule.InvalidInterval
        If the interval isn't a part of an hour or of a day.
    reconciler.errors.ReconcileError
        If a word contains a character that these files can't.
    """
    cron, calendar = _times(every)
    if any(not text.isprintable() for text in (*words, *environment.values())):
        raise ReconcileError("a path contains a control character, which neither a crontab nor a unit can have")
    variables = [f"{name}={value}" for name, value in environment.items()]
    line = shlex.join(["env", *variables, *words] if variables else list(words))
    yield "# A line for crontab -e"
    yield f"{cron}  {line}".replace("%", r"\%")
    yield ""
    yield f"# Or: ~/.config/systemd/user/{UNIT}.service"
    yield "[Unit]"
    yield "Description=Check states for drift"
    yield ""
    yield "[Service]"
    yield "Type=oneshot"
    yield from (f"Environment={_quote_for_systemd(text, dollar=False)}" for text in variables)
    yield f"ExecStart={' '.join(map(_quote_for_systemd, words))}"
    yield "# Drift, and a check that still runs, are no failures of the unit."
    yield "SuccessExitStatus=2 75"
    yield ""
    yield f"# and ~/.config/systemd/user/{UNIT}.timer"
    yield "[Unit]"
    yield f"Description=Check states for drift every {format_seconds(every)}"
    yield ""
    yield "[Timer]"
    yield f"OnCalendar={calendar}"
    yield "Persistent=true"
    yield ""
    yield "[Install]"
    yield "WantedBy=timers.target"
    yield ""
    yield f"# then: systemctl --user daemon-reload; systemctl --user enable --now {UNIT}.timer; loginctl enable-linger"


def _times(every: float) -> tuple[str, str]:
    """Return when a crontab and when systemd runs something at an interval."""
    minutes = round(every / 60)
    if minutes * 60 == every:
        if 0 < minutes < 60 and 60 % minutes == 0:
            return f"*/{minutes} * * * *", f"*:0/{minutes}"
        hours = minutes // 60
        if hours and minutes % 60 == 0 and hours < 24 and 24 % hours == 0:
            return f"{MINUTE} */{hours} * * *", f"0/{hours}:{MINUTE}"
        if minutes == 24 * 60:
            return f"{MINUTE} {HOUR} * * *", f"*-*-* {HOUR:02}:{MINUTE}"
    text = format_seconds(every)
    raise InvalidInterval(
        f"cron can't run something every {text}", ("choose a part of an hour or of a day, such as 15m, 6h or 1d",)
    )


def _quote_for_systemd(word: str, *, dollar: bool = True) -> str:
    """Quote a word for a unit; in ExecStart a dollar sign begins a variable."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if dollar:
        text = text.replace("$", "$$")
    return text if re.fullmatch(r"[\w/.-]+", word, re.ASCII) else f'"{text}"'
