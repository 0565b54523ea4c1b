"""JSON as text that is safe to print: the one place where documents and events are formatted.

It imports nothing slow, so that `reconcile status` starts fast.
"""

from __future__ import annotations

import json
from typing import Any

from reconciler.printable import escape_json
from reconciler.redaction import redact_json


def format_json(value: Any) -> str:
    """Format JSON, indented, without credentials and without unprintable characters."""
    return escape_json(json.dumps(redact_json(value), indent=2, ensure_ascii=False))


def format_jsonl(value: Any) -> str:
    """Format JSON as one line, without credentials and without unprintable characters."""
    return escape_json(json.dumps(redact_json(value), ensure_ascii=False))
