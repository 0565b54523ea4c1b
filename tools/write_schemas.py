"""Write the JSON Schemas of state files, saved plans and all JSON output to ``schemas/``: ``make schemas``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reconciler.engine.plan_file import plan_schema
from reconciler.report.checkup import doctor_schema
from reconciler.report.events import event_schema
from reconciler.report.explanation import explain_schema
from reconciler.report.journal import log_schema
from reconciler.report.json import diff_schema, error_schema, make_schema
from reconciler.report.listing import list_schema
from reconciler.report.run import RunDocument
from reconciler.report.saved_plan import show_schema
from reconciler.state.schema import state_schema
from reconciler.watch.acknowledgements import acknowledgement_schema
from reconciler.watch.json_schema import drift_schema, ledger_schema, status_schema


def write(folder: Path) -> list[Path]:
    """Write all schemas to a folder, and return their paths."""
    written = []
    for name, schema in (
        ("state", state_schema()),
        ("diff", diff_schema()),
        ("apply", make_schema(RunDocument)),
        ("events", event_schema()),
        ("error", error_schema()),
        ("plan", plan_schema()),
        ("acks", acknowledgement_schema()),
        ("drift", drift_schema()),
        ("status", status_schema()),
        ("ledger", ledger_schema()),
        ("doctor", doctor_schema()),
        ("explain", explain_schema()),
        ("list", list_schema()),
        ("log", log_schema()),
        ("show", show_schema()),
    ):
        file = folder / f"{name}.schema.json"
        file.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(file)
    return written


if __name__ == "__main__":
    for path in write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas")):
        print(path)
