"""Checks, as a watch gets them, for tests without any live system."""

from __future__ import annotations

import datetime
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.watch.check_result import UNKNOWN_KIND, CheckedResource, CheckResult, FoundDifference

START = datetime.datetime(2026, 11, 1, 2, tzinfo=datetime.UTC)
RAW = 'raw."LSSTComCam/raw/all"'
CHAIN = "chain.calib"


def night(number: float) -> datetime.datetime:
    """Return the time of a nightly check."""
    return START + datetime.timedelta(days=number)


def difference(
    address: str = RAW, kind: str = "make", field: str = "raws", fingerprint: str = "f", **values: Any
) -> FoundDifference:
    return FoundDifference(address, kind, field, values.pop("text", f"{field}: differs"), fingerprint, **values)


def unknown(address: str = RAW, text: str = "Rucio could not be reached") -> FoundDifference:
    return FoundDifference(address, UNKNOWN_KIND, "", text, "")


def resource(
    address: str = RAW, *, settled: bool = True, members: Mapping[str, tuple[int, int]] | None = None, **values: Any
) -> CheckedResource:
    return CheckedResource(address, settled, **{"table_digest": "t", "inputs_digest": "i", **values}, members=members or {})


def check(
    *differences: FoundDifference,
    resources: tuple[CheckedResource, ...] | None = None,
    state: str = "/states/ccms1.toml",
    repository: str = "davs://x/ccms1",
    addresses: tuple[str, ...] = (RAW, CHAIN),
    **values: Any,
) -> CheckResult:
    """Return a check that found some differences; by default of two resources, settled unless they differ."""
    differing = {d.address for d in differences}
    unchecked = {d.address for d in differences if d.kind == UNKNOWN_KIND}
    if resources is None:
        resources = tuple(resource(a, settled=a not in differing) for a in addresses if a not in unchecked)
    name = state.rpartition("/")[2].removesuffix(".toml")
    return CheckResult(
        state, name, repository=repository, addresses=addresses, resources=resources, differences=differences, **values
    )


def forbid_access(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let every question about a file fail as in a folder that this user may not search; the tests may run as root."""
    ask = os.stat

    def refuse(name: Any, **options: Any) -> os.stat_result:
        if isinstance(name, str | os.PathLike) and os.fspath(name) == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return ask(name, **options)

    monkeypatch.setattr(os, "stat", refuse)
