"""Credentials are found by their form and by their value; what only looks similar stays readable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import redaction
from reconciler.redaction import find_uri_credential, redact, remember, remember_environment

SECRET = "hunter2-Xy7"


@pytest.fixture(autouse=True)
def forget_known_values() -> Iterator[None]:
    known = set(redaction._known)
    yield
    redaction._known.clear()
    redaction._known.update(known)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@db/x failed", "postgresql://me:***@db/x failed"),
        ("postgresql+psycopg://me:a/b@c#d?e@db:5432/x", "postgresql+psycopg://me:***@db:5432/x"),
        ("postgresql://me:12/34@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me:a b'c\"d@db/x", "postgresql://me:***@db/x"),
        ("https://hunter2@host/x", "https://***@host/x"),
        ("https://hunter2:x-oauth-basic@host/x", "https://***@host/x"),
        ("http://host:80: refused https://a:b@c", "http://host:80: refused https://***@c"),
        ("at https://a:b@c and davs://d:e@f.", "at https://***@c and davs://***@f."),
        ("davs://host/a?authz=hunter2&x=1", "davs://host/a?authz=***&x=1"),
        ("https://s3/b/k?X-Amz-Credential=a%2Fb&X-Amz-Signature=hunter2&n=1", "https://s3/b/k?X-Amz-Credential=***&X-Amz-Signature=***&n=1"),
        ("Authorization: Basic bWU6aHVudGVyMg==", "Authorization: ***"),
        ("{'Authorization': 'Bearer hunter2', 'a': 'b'}", "{'Authorization': ***, 'a': 'b'}"),
        ("refused Bearer abcdefgh.ijk", "refused Bearer ***"),
        ("X-Rucio-Auth-Token: abc.def", "X-Rucio-Auth-Token: ***"),
        ("AWS_SECRET_ACCESS_KEY=a/b+c,d;e&f", "AWS_SECRET_ACCESS_KEY=***"),
        ("password=hunter2 host=db", "password=*** host=db"),
        ("connect(password='hunt\\'er2')", "connect(password=***)"),
        ('{"userpass_pwd": "hunter2"}', '{"userpass_pwd": ***}'),
        ("Set-Cookie: session=hunter2; Path=/", "Set-Cookie: ***"),
    ],
)  # fmt: skip
def test_a_credential_is_replaced_and_what_surrounds_it_stays(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "davs://ccdavrubinint.in2p3.fr:2880/pnfs/a@v2/b.fits",
        "postgresql://db:5432/x?options=-csearch_path%3Da",
        "postgresql://me@/lsstprod?host=/tmp/socket",
        "s3://profile@bucket/key",
        "root://user@host//path",
        "written by jane@example.org to /a/b",
        "auth_token_file_path = /tmp/token",
        "are they in ~/.aws/credentials, or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY?",
        "raw:Dataset/LSSTComCam/raw/20241108",
        "Basic calibrations of LSSTComCam",
        "https://host/a?b=c&offset=3",
    ],
)
def test_what_is_no_credential_stays_as_it_is(text: str) -> None:
    assert redact(text) == text
    assert not find_uri_credential(text)


PASSWORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1)


@settings(max_examples=500)
@given(PASSWORDS)
def test_a_password_of_any_characters_in_a_database_uri_is_replaced(password: str) -> None:
    assert redact(f"postgresql://me:{password}#@db.example.org/x") == "postgresql://me:***@db.example.org/x"


def test_the_value_of_a_secret_variable_is_replaced_wherever_it_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("PGPASSFILE", "/home/me/.pgpass")
    remember_environment()
    remember("a b/c d e")
    assert redact(f"the server answered: {SECRET}! /home/me/.pgpass") == "the server answered: ***! /home/me/.pgpass"
    assert redact("x a%20b%2Fc%20d%20e") == "x ***"
