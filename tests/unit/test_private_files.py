"""Only files that nobody else can have written are trusted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.private_files import read_own_file


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    path = folder / "entry"
    path.write_bytes(b"x")
    path.chmod(0o600)
    return path


def test_a_file_that_only_its_owner_can_write_to_is_read(own: Path) -> None:
    assert read_own_file(own) == b"x"
    own.chmod(0o644)
    assert read_own_file(own) == b"x"


def link(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to(path.with_name("other"))


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.chmod(0o620),
        lambda path: path.chmod(0o602),
        lambda path: path.parent.chmod(0o777),
        link,
        replace_by_fifo,
    ],
)
def test_a_file_that_others_can_write_to_or_replace_is_refused(own: Path, spoil: Callable[[Path], None]) -> None:
    spoil(own)
    with pytest.raises(PermissionError):
        read_own_file(own)


def test_a_file_of_another_user_is_refused(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: own.stat().st_uid + 1)
    with pytest.raises(PermissionError):
        read_own_file(own)
