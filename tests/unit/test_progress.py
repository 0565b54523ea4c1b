"""Progress of an apply as it is printed where there is no terminal."""

from __future__ import annotations

import pytest
from fakes import FakeAction, address

from reconciler.cli.progress import ConsoleProgress
from reconciler.errors import ApplyError


def test_an_error_that_many_actions_have_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    with ConsoleProgress() as progress:
        for name in ("a", "b", "c"):
            progress.ended(FakeAction(address=address(f"box.{name}"), verb="make"), {}, ApplyError("refused", ("ask",)))
        progress.ended(FakeAction(address=address("box.d"), verb="make"), {}, ApplyError("refused too"))
    output = capsys.readouterr().out
    assert output.count("refused\n") == 1
    assert output.count("ask\n") == 1
    assert output.count("failed: the same error") == 2
    assert "refused too" in output
