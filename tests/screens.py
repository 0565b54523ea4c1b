"""A terminal for tests: runs a program on a pseudo-terminal of some width, and returns the screen that an operator sees."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

HEIGHT = 400
"""Lines of the screen, so many that none scrolls away."""
FOLDERS = ((rf"{tempfile.gettempdir()}/desk-\w{{8}}", "/home/operator/dsk"),)
"""Paths that differ from run to run, and others of the same length, so that lines break at the same places."""
MASKS = (
    (r"\d{8}T\d{6}-[0-9a-f]{4}", "20261122T143200-7f3a"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z", "2026-11-22T14:32:00Z"),
    (r"(?<!every )\b\d[\d.]* (s|min)\b", "1.2 s"),
    (r"\b[\d,]+ days left", "9 days left"),
    (r"(?<=Made by )\S+ on \S+(?= at)", "operator on host"),
    (r"\b[\w.-]+@[\w.-]+", "operator@host"),
    (r"seen by\s+\d+\s+checks?", "seen by 3 checks"),  # perhaps on two lines
    (r"\b\d{2,4}-\d\d-\d\d\b(?!T)", "2026-11-22"),
    (r"\b\d+\.\d+\.\d+\b(?!\.)", "1.2.3"),
    (r"\b[\d.]+ [kMGTP]?B(?= free)", "1.2 TB"),
    (r"\bt[0-9a-f]{10}\b", "LSSTComCam2"),
)
"""What differs from run to run, and what stands for it; the spaces before it are then those of a column."""


@dataclass(frozen=True)
class Screen:
    """What stands on the terminal when a program has ended.

    Parameters
    ----------
    lines : `list` [`str`]
        Its lines, without those below the last one.
    ansi : `str`
        The same with colours, as ANSI sequences.
    raw : `bytes`
        All that the program sent.
    code : `int`
        Its exit code.
    """

    lines: list[str]
    ansi: str
    raw: bytes
    code: int

    @property
    def text(self) -> str:
        """The lines with what differs from run to run masked."""
        return mask("\n".join(self.lines) + "\n")


def mask(text: str) -> str:
    """Return a text in which what differs from run to run is always the same."""
    for pattern, replacement in MASKS:
        text = re.sub(rf"( {{3,}})?{pattern}", lambda found, new=replacement: ("   " if found[1] else "") + new, text)
    return text


def run_on_terminal(
    words: Sequence[str],
    *,
    columns: int,
    folder: Path,
    environment: Mapping[str, str],
    typed: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> Screen:
    """Run a program on a terminal and return the screen at its end.

    Parameters
    ----------
    words : `Sequence` [`str`]
        The command line.
    columns : `int`
        Width of the terminal.
    folder : `pathlib.Path`
        Working directory.
    environment : `Mapping` [`str`, `str`]
        Environment variables in addition to PATH; nothing else is passed on.
    typed : `Mapping` [`str`, `str`], optional
        What to type when a text appears. ``\\x03`` is Ctrl-C.
    timeout : `float`
        Seconds after which the program is killed, which is an error.
    """
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, columns, 0, 0))
    clean = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment}
    process = subprocess.Popen(
        list(words), stdin=its, stdout=its, stderr=its, cwd=folder, env=clean, start_new_session=True, preexec_fn=_own_terminal
    )
    os.close(its)
    raw, left = b"", dict(typed or {})
    deadline = time.monotonic() + timeout
    try:
        while True:
            if time.monotonic() > deadline:
                process.kill()
                raise TimeoutError(f"{words} is not done after {timeout:.0f} s: {raw!r}")
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # how Linux reports the end of a terminal
                break
            if not part:
                break
            raw += part
            for text in [text for text in left if text.encode() in raw]:
                os.write(ours, left.pop(text).encode())
    finally:
        os.close(ours)
    code = process.wait(10)
    screen = pyte.Screen(columns, HEIGHT)
    for folder, name in FOLDERS:
        raw = re.sub(folder.encode(), name.encode(), raw)
    pyte.ByteStream(screen).feed(raw)
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        lines.pop()
    return Screen(lines, "\n".join(_to_ansi(screen, number) for number in range(len(lines))), raw, code)


def _own_terminal() -> None:
    """Make the terminal that of the new session, so that Ctrl-C becomes a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


COLOURS = {"red": 31, "green": 32, "brown": 33, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}


def _to_ansi(screen: pyte.Screen, number: int) -> str:
    row, text = screen.buffer[number], ""
    style: tuple[str, bool] = ("default", False)
    for column in range(screen.columns):
        sign = row[column]
        wanted = (sign.fg, sign.bold)
        if wanted != style:
            codes = ["0", *(["1"] if sign.bold else []), *([str(COLOURS[sign.fg])] if sign.fg in COLOURS else [])]
            text, style = f"{text}\x1b[{';'.join(codes)}m", wanted
        text += sign.data
    return text.rstrip() + "\x1b[0m"
