"""Raws that are delivered as zips, one for each exposure, as those of LSSTCam are; ingested without the Science Pipelines.

Zips are compared with the repository night by night, by the UUIDs in their indexes. A night whose Rucio datasets are as they were
when it agreed is proven, not compared again.
"""

from reconciler.kinds.raw_zip.kind import RawZipKind

KIND = RawZipKind()
