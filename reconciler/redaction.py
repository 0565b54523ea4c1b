"""Credentials are replaced by ``***`` in everything that is printed or written: reports, journal, plans, tracebacks, logs.

Two ways find them: their form (`redact`), and their value, where it is known (`remember`), whatever surrounds it.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

MASK = "***"
SHORTEST_VALUE = 6
"""Shorter values aren't remembered: replacing them everywhere would make messages unreadable."""

_NAME = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|token|credentials?|api[-_]?key|access[-_]?key|private[-_]?key|authz|authorization"
)
_HINT = re.compile(rf"@|{_NAME}|[?&]|bearer|cookie|eyJ|AKIA|ASIA|gh[a-z]_|glpat|PRIVATE KEY", re.IGNORECASE)
"""Only a text that matches this is searched for credentials; most of a report doesn't."""
_NAMED_USERS = re.compile(
    r"(?:postgres|mysql|mariadb|oracle|mssql|sqlite|redis|mongodb|amqp|ssh|sftp|scp|s3|root)", re.IGNORECASE
)
"""Schemes whose user, without a password, is a name and no credential (for S3, a profile)."""
_DATABASES = re.compile(r"(?:postgres|mysql|mariadb|oracle|mssql)", re.IGNORECASE)
_URI = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*)(?P<slashes>:(?://|%2F%2F))(?P<rest>[^\n]*)", re.IGNORECASE)
_AUTHORITY_END = re.compile(r"[/?#\s'\"<>]")
_QUERY = re.compile(
    r"(?P<head>(?:[?&]|&amp;)(?:(?:x-amz-|x-goog-|x-ms-)?(?:signature|credential|security-token)|sig|authz|auth|jwt|key|awsaccesskeyid"
    rf"|[\w.-]*(?:{_NAME})[\w.-]*)=)(?!\s*\*\*\*)(?P<secret>[^&#\s'\"<>]+)",
    re.IGNORECASE,
)
_AMZ = re.compile(
    r"(?P<head>\bx-amz-(?:signature|credential|security-token)['\"]?\s*(?:=|:|%3D)\s*)(?!\s*\*\*\*)(?P<secret>[^&\s,]+)",
    re.IGNORECASE,
)
_VALUE = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s'\"]+"
_HEADER = re.compile(
    r"(?P<head>\b(?:proxy-)?authorization['\"]?\s*(?:[=:]|%3A|%3D)\s*)"
    r"(?!\s*\*\*\*)(?P<secret>['\"]?(?:(?:basic|bearer|negotiate|digest|token|aws4-hmac-sha256)(?:\s+|%20|\+))?"
    r"(?:(?<=['\"])[^'\"]*|[^\s'\"]+)['\"]?)",
    re.IGNORECASE,
)
_COOKIE = re.compile(r"(?P<head>\b(?:set-)?cookie['\"]?\s*:\s*)(?!\s*\*\*\*)(?P<secret>[^\n]+)", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<head>(?<![?&])[\w.-]*(?:{_NAME})(?!\w*_?(?:file|path|dir)\b)[\w.-]*['\"]?\s*(?:=>?|:(?!//))\s*(?:(?:basic|bearer)\s+)?)"
    rf"(?!\s*\*\*\*)(?P<secret>{_VALUE})",
    re.IGNORECASE,
)
_ALONE = re.compile(r"(?P<head>\bbearer(?:\s+|%20))(?!\s*\*\*\*)(?P<secret>[A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
_TOKENS = re.compile(
    r"\beyJ[\w-]{8,}(?:\.[\w-]*){1,4}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[a-z]_\w{20,}|\bglpat-[\w-]{15,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_NOT_SECRET_NAME = re.compile(r"(?:_FILE|_PATH|_DIR|PASSFILE|SOCK)$", re.IGNORECASE)
_known: set[str] = set()


def redact(text: str) -> str:
    """Return a text with the credentials in it replaced by ``***``."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    if not _HINT.search(text):
        return text
    text = _TOKENS.sub(MASK, text)
    text = _URI.sub(_redact_uri, text)
    for pattern in (_QUERY, _HEADER, _AMZ, _COOKIE, _ASSIGNED, _ALONE):
        text = pattern.sub(rf"\g<head>{MASK}", text)
    return text


def redact_json(value: Any) -> Any:
    """Return a JSON value with the credentials in its strings replaced, those of its keys included."""
    if isinstance(value, Mapping):
        return {redact(key) if isinstance(key, str) else key: redact_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact_json(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value


def find_uri_credential(text: str) -> bool:
    """Return True if a text contains a URI with a password, a token or a signature."""
    return _URI.sub(_redact_uri, text) != text or (":" in text and _QUERY.search(text) is not None)


def remember(value: str) -> None:
    """Replace a known credential, such as the password of a configuration file, in all that is printed from now on."""
    if len(value) >= SHORTEST_VALUE:
        _known.update({value, urllib.parse.quote(value, safe="")})


def remember_uri(uri: str) -> None:
    """Remember the password of a URI and its parts: if it contains ``@`` or ``/``, libraries take one of them for the host."""
    match = _URI.search(uri)
    end = _find_userinfo_end(match["scheme"], match["rest"]) if match else None
    if match is not None and end:
        password = match["rest"][:end].partition(":")[2]
        for part in (password, urllib.parse.unquote(password), *re.split(r"[@/#?:]", password)):
            remember(part)


def remember_environment() -> None:
    """Remember the values of environment variables whose names announce a credential, such as ``AWS_SECRET_ACCESS_KEY``."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and not _NOT_SECRET_NAME.search(name) and not os.path.exists(value):
            remember(value)


def _redact_uri(match: re.Match[str]) -> str:
    """Mask what precedes the host. Passwords may contain any character, also those that end the authority of a correct URI."""
    scheme, rest = match["scheme"], match["rest"]
    end = _find_userinfo_end(scheme, rest)
    user = rest[:end]
    if end:
        name, colon, _ = user.partition(":")
        user = MASK if not _NAMED_USERS.match(scheme) else f"{name}:{MASK}" if colon else name
    else:
        user, end = "", 0
    return f"{scheme}{match['slashes']}{user}{_URI.sub(_redact_uri, rest[end:])}"  # the line may contain further URIs


def _find_userinfo_end(scheme: str, rest: str) -> int | None:
    """Return the position of the ``@`` before the host, or `None` if a URI has no user information."""
    found = _AUTHORITY_END.search(rest)
    authority = rest[: found.start()] if found else rest
    host, colon, port = authority.partition(":")
    if _DATABASES.match(scheme) and colon and "@" not in host:
        # Rather mask the rest of a sentence than show a password with a blank, a digit or a slash in it.
        ends = [_last_at(rest.partition("://")[0], len(rest)), _last_at(rest, _run_end(rest)), _last_at(rest, len(rest))]
        return next((end for end in ends if end >= 0), None)
    if "@" in authority:
        return authority.rfind("@")
    if not colon or "[" in host or re.fullmatch(r"[0-9]*[:.,;)\]}]*", port):
        return None  # a host with or without its port, perhaps at the end of a sentence
    end = max(_last_at(rest, _run_end(rest)), _last_at(rest.partition("://")[0], len(rest)))
    return end if end >= 0 else None


def _run_end(rest: str) -> int:
    found = re.search(r"\s", rest)
    return found.start() if found else len(rest)


def _last_at(rest: str, end: int) -> int:
    """Return the position of the last ``@`` before ``end`` that a host may follow; -1 if there is none."""
    found = [m.start() for m in re.finditer(r"@(?=[\w\[/.-])", rest[:end])]
    return found[-1] if found else -1
