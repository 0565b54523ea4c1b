"""Write the JSON Schemas of state files, saved plans and the JSON of commands to ``schemas/``: ``make schemas``."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.engine.plan_file import plan_schema
from reconciler.report.checkup import doctor_schema
from reconciler.report.explanation import explain_schema
from reconciler.report.journal import log_schema
from reconciler.report.json import report_schema
from reconciler.report.listing import list_schema
from reconciler.report.saved_plan import show_schema
from reconciler.state.schema import state_schema
from reconciler.watch.acknowledgements import acknowledgement_schema


def write(folder: Path) -> list[Path]:
    """Write all schemas to a folder, and return their paths."""
    written = []
    for name, schema in (
        ("state", state_schema()),
        ("diff", report_schema()),
        ("plan", plan_schema()),
        ("acks", acknowledgement_schema()),
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
    for path in write(Path("schemas")):
        print(path)
