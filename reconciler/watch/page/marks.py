"""The sign of each kind of difference, and that sign in words."""

MARKS = {
    "make": ("+", "missing"),
    "change": ("~", "changed"),
    "remove": ("-", "unwanted members"),
    "waiting": ("…", "waiting"),
    "degraded": ("!", "degraded"),
    "blocked": ("!", "blocked"),
    "conflict": ("!", "in conflict"),
    "failed": ("≠", "failed expectation"),
    "later": ("…", "known after others have changed"),
    "unknown": ("?", "could not be checked"),
}
IN_SYNC_MARK = ("✓", "in sync")
OUTSIDE_MARK = ("·", "not in the state")
