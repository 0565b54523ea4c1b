"""TAGGED collections, whose members are the datasets of some types in some collections.

A query expression, and one list of visits, exposures or UUIDs, restrict them; both are optional and combine. Desired and present
members are compared as sets, and only missing ones are associated. Unwanted members are reported, and removed only with --prune.
"""

from reconciler.kinds.tagged.kind import TaggedKind

KIND = TaggedKind()
