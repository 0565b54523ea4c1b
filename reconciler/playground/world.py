"""Where everything of a playground lies, and how large it is."""

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
    """How much of a campaign is made up.

    Parameters
    ----------
    nights : `int`
        Nights of raws.
    exposures : `int`
        Exposures a night.
    shards : `int`
        Files of each reference catalog; 131,072 in the real one.
    like_production : `bool`
        Whether the repository's registry is on PostgreSQL and its files behind WebDAV.
    """

    nights: int = 3
    exposures: int = 12
    shards: int = 28
    like_production: bool = False


@dataclass(frozen=True)
class World:
    """The folder of a playground.

    Parameters
    ----------
    root : `pathlib.Path`
        An absolute path.
    """

    root: Path

    @property
    def postgres(self) -> Path:
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
        """Give the folder behind an RSE.

        Parameters
        ----------
        rse : `str`
            Its name.

        Returns
        -------
        folder : `pathlib.Path`
            Its root.
        """
        return self.root / "storage" / rse

    @property
    def usdf(self) -> Path:
        """The repository that stands for ``/repo/main`` at USDF."""
        return self.root / "usdf" / "main"

    @property
    def inputs(self) -> Path:
        """Export files, tables and lists that the procedure was handed."""
        return self.root / "inputs"

    @property
    def repository(self) -> Path:
        """The repository to be built."""
        return self.root / "butler" / "ccms1"

    @property
    def site(self) -> Path:
        return self.root / "site.toml"

    @property
    def environment_file(self) -> Path:
        return self.root / "env.sh"

    @property
    def record(self) -> Path:
        """What `up` started and how: ports, process ids, sizes."""
        return self.root / "playground.json"

    def remember(self, **facts: Any) -> None:
        """Add facts to the record, replacing the file in one step.

        Parameters
        ----------
        **facts
            JSON values.
        """
        fresh = self.root / f"playground.json.{os.getpid()}"
        fresh.write_text(json.dumps(self.recall() | facts, indent=2) + "\n")
        fresh.chmod(0o600)
        fresh.replace(self.record)

    def recall(self) -> dict[str, Any]:
        """Read the record.

        Returns
        -------
        facts : `dict`
            Empty if nothing was ever started here.
        """
        try:
            facts: dict[str, Any] = json.loads(self.record.read_text())
        except FileNotFoundError:
            return {}
        return facts

    @property
    def sizes(self) -> Sizes:
        return Sizes(**self.recall().get("sizes", {}))

    def set_sizes(self, sizes: Sizes) -> None:
        """Record how large this world is.

        Parameters
        ----------
        sizes : `Sizes`
            As asked for.
        """
        self.remember(sizes=dataclasses.asdict(sizes))

    def environment(self) -> dict[str, str]:
        """Give the variables that make ``butler`` and ``rucio`` mean this world.

        Returns
        -------
        variables : `dict` [`str`, `str`]
            To be laid over a process's own.
        """
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
