"""Members of bulk resources that belong to one exposure and one detector, shown with the detectors of an exposure on one line."""

from __future__ import annotations

from reconciler.engine.kind import MemberText
from reconciler.engine.model import JsonObject


def describe_exposure_member(member: JsonObject) -> MemberText:
    """Return how reports show a member that has ``exposure`` and ``detector``, and perhaps ``day_obs``."""
    night, detector = member.get("day_obs", ""), member["detector"]
    return MemberText(str(detector), group=f"{night:<10} {member['exposure']}", noun="detector", position=detector)
