"""Where the history is, and what is refused."""

from pathlib import Path

import pytest

from reconciler.watch.locations import HistoryError, HistoryLocation, find_history


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (None, {"XDG_STATE_HOME": "/xdg"}, HistoryLocation(Path("/xdg/rubin-reconciler/history.sqlite"))),
        ("/a/h.sqlite", {"RECONCILE_HISTORY": "/b/h.sqlite"}, HistoryLocation(Path("/a/h.sqlite"))),
        (None, {"RECONCILE_HISTORY": "/b/h.sqlite", "HOME": "/root"}, HistoryLocation(Path("/b/h.sqlite"))),
        ("sqlite:////a/h.sqlite", {}, HistoryLocation(Path("/a/h.sqlite"))),
        ("postgresql://frdf@db/watch", {}, HistoryLocation(url="postgresql://frdf@db/watch")),
        ("postgres://frdf@db/watch", {}, HistoryLocation(url="postgresql://frdf@db/watch")),
        ("postgresql+psycopg://frdf@db/watch", {}, HistoryLocation(url="postgresql+psycopg://frdf@db/watch")),
    ],
)
def test_the_history_is_where_the_option_the_environment_or_the_default_has_it(
    option: str | None, environment: dict[str, str], expected: HistoryLocation
) -> None:
    assert find_history(option, environment) == expected


def test_without_a_home_folder_the_history_must_be_named() -> None:
    with pytest.raises(HistoryError, match="neither HOME nor XDG_STATE_HOME is set") as caught:
        find_history(None, {})
    assert "--history" in caught.value.hints[0]


@pytest.mark.parametrize("url", ["postgresql://frdf:hunter2@db/watch", "postgresql://frdf@db/watch?password=hunter2"])
def test_a_password_in_the_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(HistoryError, match="contains a password") as caught:
        find_history(url, {})
    text = f"{caught.value} {caught.value.hints}"
    assert "hunter2" not in text
    assert all(place in text for place in ("~/.pgpass", "db-auth.yaml", "PGPASSWORD"))


@pytest.mark.parametrize("url", ["mysql://db/watch", "postgresql://[db/watch"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(HistoryError, match="postgresql://USER@HOST/DATABASE"):
        find_history(url, {})
