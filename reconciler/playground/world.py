"""The folder layout, the record and the sizes of a playground."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SLAC = "SLAC_BUTLER_DISK"
IN2P3 = "IN2P3_RAW_DISK"
INSTRUMENT = "LSSTComCam"
OBSERVATORY = Path(__file__).parent / "observatory"


@dataclass(frozen=True)
class Sizes:
    """Amount of made-up data.

    Parameters
    ----------
    nights : `int`
        Number of nights of raws.
    exposures : `int`
        Exposures per night.
    shards : `int`
        Files of each reference catalog; the real ones have 131,072.
    like_production : `bool`
        Whether the repository's registry is on PostgreSQL and its files are behind WebDAV.
    lsstcam_nights : `int`
        Number of nights of LSSTCam, of which the last is the last complete one when the playground is created.
    lsstcam_exposures : `int`
        Exposures per night of LSSTCam.
    lsstcam_detectors : `int`
        Raws of each exposure of LSSTCam, at most 189.
    """

    nights: int = 3
    exposures: int = 12
    shards: int = 28
    like_production: bool = False
    lsstcam_nights: int = 0
    lsstcam_exposures: int = 4
    lsstcam_detectors: int = 9


@dataclass(frozen=True)
class World:
    """The folder of a playground, given as an absolute path."""

    root: Path

    @property
    def postgres(self) -> Path:
        """The data folder of PostgreSQL."""
        return self.root / "postgres"

    @property
    def rucio(self) -> Path:
        """Configuration and logs of the Rucio server, and the client's configuration."""
        return self.root / "rucio"

    @property
    def client_config(self) -> Path:
        return self.rucio / "client.cfg"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def storage(self, rse: str) -> Path:
        """Return the root folder of an RSE."""
        return self.root / "storage" / rse

    @property
    def usdf(self) -> Path:
        """The repository that stands for ``/repo/main`` at USDF."""
        return self.root / "usdf" / "main"

    @property
    def embargo(self) -> Path:
        """The repository at USDF from which the zips of LSSTCam are made."""
        return self.root / "usdf" / "embargo"

    @property
    def inputs(self) -> Path:
        """Export files, tables and lists that the procedure takes as given."""
        return self.root / "inputs"

    @property
    def repository(self) -> Path:
        """The repository that the procedure builds."""
        return self.repository_named("ccms1")

    def repository_named(self, name: str) -> Path:
        """Return the folder of a repository to build; the one of LSSTCam is ``lsstcam``."""
        return self.root / "butler" / name

    @property
    def site(self) -> Path:
        """The file with the values that the variables of ``state/ccms1.toml`` have in this playground."""
        return self.root / "site.toml"

    @property
    def lsstcam_site(self) -> Path:
        """The file with the values for ``state/lsstcam-raw.toml``; it exists only if there are nights of LSSTCam."""
        return self.root / "site-lsstcam.toml"

    @property
    def environment_file(self) -> Path:
        """The shell script that sets `environment`."""
        return self.root / "env.sh"

    @property
    def record(self) -> Path:
        """The file that records sizes, ports and process ids."""
        return self.root / "playground.json"

    def update_record(self, **facts: Any) -> None:
        """Set keys of the record to JSON values; the file is replaced atomically."""
        fresh = self.root / f"playground.json.{os.getpid()}"
        fresh.write_text(json.dumps(self.read_record() | facts, indent=2) + "\n")
        fresh.chmod(0o600)
        fresh.replace(self.record)

    def read_record(self) -> dict[str, Any]:
        """Return the record; empty if nothing was ever started here."""
        try:
            facts: dict[str, Any] = json.loads(self.record.read_text())
        except FileNotFoundError:
            return {}
        return facts

    @property
    def sizes(self) -> Sizes:
        """The recorded sizes; the default ones if none were recorded."""
        return Sizes(**self.read_record().get("sizes", {}))

    def set_sizes(self, sizes: Sizes) -> None:
        """Record the sizes of this playground."""
        self.update_record(sizes=dataclasses.asdict(sizes))

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which ``butler`` and ``rucio`` use this playground; creates its TMPDIR."""
        temporary = self.root / "tmp"
        temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        inherited = os.environ.get("PYTHONPATH", "")
        path = [str(OBSERVATORY), *(p for p in inherited.split(os.pathsep) if p and p != str(OBSERVATORY))]
        return {
            "PYTHONPATH": os.pathsep.join(path),
            "DAF_BUTLER_PLUGINS": str(OBSERVATORY / "butler-plugins.yaml"),
            "RUCIO_CONFIG": str(self.client_config),
            "RUCIO_CLIENT_MODE": "1",
            "TMPDIR": str(temporary),  # Rucio's client keeps its token under TMPDIR, shared between servers
        }
