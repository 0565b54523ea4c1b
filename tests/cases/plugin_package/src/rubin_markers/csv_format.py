"""Diffs as CSV, with one row for each difference."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from reconciler import DiffReport


def write_csv(reports: Sequence[DiffReport]) -> str:
    """Return a header and one row for each difference of all states."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["state", "address", "key", "difference", "members"])
    for report in reports:
        for resource in report.resources:
            for difference in resource.differences:
                rows.writerow([report.state, resource.address, difference.field or "", difference.kind.value, difference.count])
    return stream.getvalue().rstrip("\n")
