"""Parsing of TOML, with a message for each way in which a file isn't TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli

from reconciler.errors import StateError
from reconciler.state.toml_mistakes import explain_toml_error


def parse(text: str, path: Path) -> dict[str, Any]:
    """Parse TOML; ``path`` is used in messages only.

    Raises
    ------
    reconciler.errors.StateError
        If the text isn't TOML, which includes a key or a table that is defined twice.
    """
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        cause = explain_toml_error(text, error.lineno) or error.msg
        raise StateError(f"{path.name}:{error.lineno}: invalid TOML: {cause}") from error
    except RecursionError as error:
        raise StateError(f"{path.name}: invalid TOML: nested too deeply") from error
