"""`butler define-visits`: compute the visits of exposures, with one transaction for each visit.

As in obs_base, visits that exist are computed again, and a record that differs ends the command, such as a region after a
change of the camera's geometry. Visits before it stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from lsst.daf.butler import Butler, Progress, Timespan
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.pex.config import ChoiceField, Config, Field
from lsst.pipe.base import Instrument, Task
from lsst.sphgeom import ConvexPolygon

from standin.camera import Camera
from standin.release import current_release
from standin.visit_groups import GROUPINGS, ONE_TO_ONE, SYSTEMS, Visit, find_other_snaps


class DefineVisitsConfig(Config):
    """What ``--config-file`` and the files of the instrument's package can set."""

    groupExposures: ChoiceField[str] = ChoiceField(
        "Way to group exposures.", str, {name: name for name in GROUPINGS}, default="one-to-one", optional=False
    )
    ignoreNonScienceExposures: Field[bool] = Field(dtype=bool, default=True, doc="Pass over exposures that aren't on the sky.")

    def setDefaults(self) -> None:
        self.groupExposures = current_release().grouping


@dataclass
class Counts:
    """Numbers of visits that were new, updated, or left as they were, and of exposures that were passed over."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    filtered: int = 0


class DefineVisitsTask(Task):
    """Defines visits.

    Parameters
    ----------
    config : `DefineVisitsConfig`
        Configuration.
    butler : `lsst.daf.butler.Butler`
        A writeable repository.
    """

    ConfigClass: ClassVar[type[Config]] = DefineVisitsConfig
    _DefaultName: ClassVar[str] = "defineVisits"

    def __init__(self, config: DefineVisitsConfig | None = None, *, butler: Butler, **more: Any) -> None:
        super().__init__(config or self.ConfigClass(), **more)
        self.config.validate()
        self.butler, self.registry = butler, butler.registry
        self.progress = Progress("obs.base.DefineVisitsTask")

    def run(
        self,
        exposures: Iterable[Any],
        *,
        collections: Sequence[str] = (),
        update_records: bool = False,
        incremental: bool = False,
        skip_conflicting: bool = False,
        prefilter: bool = False,
        check_detector_regions: bool = False,
    ) -> Counts:
        """Define the visits of exposures; those that aren't on the sky are passed over, unless the configuration forbids it.

        Parameters
        ----------
        exposures : iterable of `lsst.daf.butler.DimensionRecord`
            Records of exposures of one instrument.
        collections : sequence of `str`
            Collections in which the camera is looked for; the instrument's own is used otherwise.
        update_records : `bool`
            Whether visits that differ are updated.
        incremental : `bool`
            Whether further exposures of a visit are looked up and added to it, which updates it.
        skip_conflicting : `bool`
            Whether visits that differ are passed over.
        prefilter : `bool`
            Whether exposures that have a visit are passed over.
        check_detector_regions : `bool`
            Whether regions of detectors that are missing are added.

        Raises
        ------
        RuntimeError
            If an exposure isn't on the sky, and the configuration doesn't let it be passed over.
        TypeError
            If ``prefilter`` is combined with ``update_records`` or ``incremental``.
        lsst.daf.butler.registry.ConflictingDefinitionError
            If a visit differs, and it is neither to be updated nor passed over.
        """
        if prefilter and (update_records or incremental):
            raise TypeError("prefilter excludes update_records and incremental")
        chosen = {exposure.id: exposure for exposure in exposures if self._is_on_sky(exposure)}
        counts = Counts()
        if not chosen:
            return counts
        (instrument,) = {exposure.instrument for exposure in chosen.values()}
        complete = self._find_complete_visits(instrument) if check_detector_regions else None
        if prefilter:
            for record in self.registry.queryDimensionRecords("visit_definition", instrument=instrument):
                if complete is None or record.visit in complete:
                    counts.filtered += chosen.pop(record.exposure, None) is not None
            if not chosen:
                return counts
        group, systems = GROUPINGS[self.config.groupExposures]
        for system in systems:
            record = {"instrument": instrument, "id": system, "name": SYSTEMS[system]}
            self.registry.syncDimensionData("visit_system", record)
        members = list(chosen.values())
        if incremental and len(systems) > 1:
            members += find_other_snaps(members, self.registry)
        visits = list(group(members))
        for visit in self.progress.wrap(visits, desc="Computing regions and inserting visits"):
            records = self._make_records(visit, collections)
            with self.registry.transaction():
                try:
                    outcome = self.registry.syncDimensionData("visit", records["visit"][0], update=update_records or incremental)
                except ConflictingDefinitionError as error:
                    if not skip_conflicting:
                        error.add_note(f"visit {visit.id}")
                        raise
                    outcome = False
                lacks_regions = complete is not None and visit.id not in complete
                self._write(records, outcome, update_records or lacks_regions, incremental, counts)
        self.log.info("%d visits are new, %d updated, %d unchanged", counts.new, counts.updated, counts.unchanged)
        return counts

    def _is_on_sky(self, exposure: Any) -> bool:
        sees = getattr(exposure, "can_see_sky", None) is not False
        if sees and None not in (exposure.tracking_ra, exposure.tracking_dec, exposure.sky_angle):
            return True
        if self.config.ignoreNonScienceExposures:
            return False
        raise RuntimeError(f"exposure {exposure.id} of type {exposure.observation_type} isn't on the sky")

    def _find_complete_visits(self, instrument: str) -> set[int]:
        """Return the visits that have the regions of all detectors."""
        detectors = self.registry.queryDimensionRecords("detector", instrument=instrument).count()
        found: dict[int, set[int]] = defaultdict(set)
        for record in self.registry.queryDimensionRecords("visit_detector_region", instrument=instrument):
            found[record.visit].add(record.detector)
        return {visit for visit, its in found.items() if len(its) == detectors}

    def _write(self, records: dict[str, list[Any]], outcome: Any, replace: bool, incremental: bool, counts: Counts) -> None:
        """Write what belongs to a visit, whose own record was just inserted, updated or found unchanged."""
        if outcome is True:
            for element in ("visit_definition", "visit_system_membership", "visit_detector_region"):
                if records[element]:
                    self.registry.insertDimensionData(element, *records[element])
            counts.new += 1
            return
        if not outcome and not replace:
            counts.unchanged += 1
            return
        if incremental and len(records["visit_definition"]) > 1:
            for record in records["visit_definition"]:
                self.registry.syncDimensionData("visit_definition", record)
        if replace or "region" in outcome:
            self.registry.insertDimensionData("visit_detector_region", *records["visit_detector_region"], replace=True)
        counts.updated += 1

    def load_camera(self, exposure: Any, collections: Sequence[str]) -> Camera:
        """Return the camera that a collection has for an exposure, or else that of the installed software."""
        if collections:
            try:
                data_id = self.registry.expandDataId(exposure.dataId)
                return self.butler.get("camera", data_id, collections=list(collections))  # type: ignore[no-any-return]
            except LookupError:
                pass
        return Instrument.fromName(exposure.instrument, self.registry).getCamera()  # type: ignore[attr-defined]

    def _make_records(self, visit: Visit, collections: Sequence[str]) -> dict[str, list[Any]]:
        """Compute the records of a visit by dimension element; the regions are those of its first exposure."""
        first, exposures = visit.exposures[0], visit.exposures
        camera = self.load_camera(first, collections)
        corners = {detector.id: detector.corners(first.tracking_ra, first.tracking_dec) for detector in camera}
        key = {"instrument": first.instrument, "visit": visit.id}
        fields = {
            "instrument": first.instrument,
            "id": visit.id,
            "name": visit.name,
            "day_obs": min(exposure.day_obs for exposure in exposures),
            "physical_filter": _common(exposures, "physical_filter"),
            "seq_num": min(exposure.seq_num for exposure in exposures),
            "exposure_time": sum(exposure.exposure_time for exposure in exposures),
            "target_name": _common(exposures, "target_name"),
            "observation_reason": _common(exposures, "observation_reason") or "various",
            "science_program": _common(exposures, "science_program"),
            "azimuth": _common(exposures, "azimuth"),
            "zenith_angle": _common(exposures, "zenith_angle"),
            "region": ConvexPolygon.convexHull([corner for four in corners.values() for corner in four]),
            "timespan": Timespan(
                min(exposure.timespan.begin for exposure in exposures), max(exposure.timespan.end for exposure in exposures)
            ),
            "visit_system": ONE_TO_ONE,  # a column of universes that know one system only
        }
        several_systems = "visit_system_membership" in self.butler.dimensions.elements.names
        definition: dict[str, Any] = key if several_systems else key | {"visit_system": ONE_TO_ONE}
        rows = {
            "visit": [fields],
            "visit_definition": [definition | {"exposure": exposure.id} for exposure in exposures],
            "visit_system_membership": [key | {"visit_system": system} for system in visit.systems] if several_systems else [],
            "visit_detector_region": [
                key | {"detector": detector, "region": ConvexPolygon.convexHull(four)} for detector, four in corners.items()
            ],
        }
        known = set(self.butler.dimensions["visit"].schema.names)
        rows["visit"] = [{name: value for name, value in fields.items() if name in known}]
        return rows


def _common(exposures: Sequence[Any], field: str) -> Any:
    """Return the value that all exposures share, or None."""
    values = {getattr(exposure, field, None) for exposure in exposures}
    return values.pop() if len(values) == 1 else None


def define_visits(
    butler: Butler,
    instrument: str,
    where: str = "",
    config_file: str | None = None,
    collections: Sequence[str] = (),
    **flags: bool,
) -> Counts:
    """Define the visits of the exposures of an instrument that an expression selects; see `DefineVisitsTask.run` for ``flags``.

    Parameters
    ----------
    butler : `lsst.daf.butler.Butler`
        A writeable repository.
    instrument : `str`
        Name or class of the instrument.
    where : `str`
        Expression of the Butler; all exposures for an empty one.
    config_file : `str` or `None`
        File that changes the configuration after the instrument's own files.
    collections : sequence of `str`
        Collections in which the camera is looked for.
    """
    its = Instrument.from_string(instrument, butler.registry)
    config = DefineVisitsConfig()
    its.applyConfigOverrides(DefineVisitsTask._DefaultName, config)
    if config_file is not None:
        config.load(config_file)
    with butler.query() as query:
        exposures = list(query.where(where or "", instrument=its.getName()).dimension_records("exposure"))
    return DefineVisitsTask(config, butler=butler).run(exposures, collections=collections, **flags)
