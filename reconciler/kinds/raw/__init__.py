"""Raw exposures: ingest those that exist and are not ingested yet.

Rucio, or a walk over the folders, gives the files that exist, and the Butler those that are ingested. A pattern in the state
finds the data ID in the path of a file; without one, files are compared by URI. Only files that Rucio has delivered here are
ingested.
"""

from reconciler.kinds.raw.kind import RawKind

KIND = RawKind()
