"""The files of proofs, one for each claim, in a folder of the user.

They save time only. One that can't be read, isn't a proof, belongs to another user or could have been written by others is
ignored, and one that can't be written is not an error.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from reconciler.engine.journal import state_folder
from reconciler.engine.proof import Claim, Proof
from reconciler.private_files import open_private_file

FORMAT = 2
"""Increased when the form of the files changes."""
MOST_PROOFS = 2_000
"""The oldest files beyond this number are deleted."""
LARGEST = 10_000_000
"""Bytes; a larger file is not a proof."""
BEGINNING = 1_000
"""Bytes of a file that contain the address."""
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

log = logging.getLogger(__name__)


class ProofStore:
    """Proofs in a folder, by default below the user's state folder.

    Parameters
    ----------
    folder : `pathlib.Path`, optional
        The folder; it is created with the first proof.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state_folder() / "proofs"

    def find(self, claim: Claim) -> Proof | None:
        """Return the proof of an equal claim, or None."""
        proof = self.find_earlier(claim)
        return proof if proof is not None and proof.claim == claim else None

    def find_earlier(self, claim: Claim) -> Proof | None:
        """Return the proof of a claim that may only differ in its inputs, or None."""
        try:
            proof = _read_proof(json.loads(_read_own_file(self._path(claim))))
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            log.debug("no proof for %s: %s", claim.address, error)
            return None
        return proof if replace(proof.claim, inputs=claim.inputs) == claim else None

    def may_have(self, address: str) -> bool:
        """Return True if there seems to be a proof of a resource, whether or not it holds, by the beginnings of all files."""
        text = json.dumps({"address": address})[1:-1].encode()
        for path in self.folder.glob("*.json"):
            with contextlib.suppress(OSError):
                if text in _read_own_file(path, BEGINNING):
                    return True
        return False

    def record(self, proof: Proof) -> None:
        """Write a proof in place of an earlier one; if that is impossible, there is none."""
        document = {
            "format": FORMAT,
            "claim": asdict(proof.claim),
            "boundary": proof.boundary.isoformat(),
            "older": proof.older,
            "newer": sorted(proof.newer),
            "listed": None if proof.listed is None else proof.listed.isoformat(),
        }
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open_private_file(self._path(proof.claim)) as stream:
                json.dump(document, stream)
            self._remove_oldest()
        except OSError as error:
            log.debug("the proof for %s could not be recorded: %s", proof.claim.address, error)

    def _path(self, claim: Claim) -> Path:
        name = hashlib.sha256("\n".join((claim.identity, claim.address, claim.spec)).encode()).hexdigest()
        return self.folder / f"{name[:40]}.json"

    def _remove_oldest(self) -> None:
        files = list(self.folder.glob("*.json"))
        if len(files) > MOST_PROOFS:
            for path in sorted(files, key=lambda path: path.lstat().st_mtime)[:-MOST_PROOFS]:
                with contextlib.suppress(OSError):
                    path.unlink()


def _read_own_file(path: Path, most: int = LARGEST) -> bytes:
    """Read ``most`` bytes of a regular file of this user that nobody else may write to; raise `PermissionError` for any other."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & WRITABLE_BY_OTHERS:
            raise PermissionError(f"{path} is not a file that only this user can write to")
        return stream.read(most)


def _read_proof(document: Any) -> Proof:
    """Check every part of a document; raise ValueError, TypeError or KeyError if it isn't a proof."""
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']}")
    claim: Mapping[str, Any] = document["claim"]
    inputs = dict(claim["inputs"])
    texts = [claim[key] for key in ("address", "spec", "identity", "version")]
    boundary = datetime.datetime.fromisoformat(document["boundary"])
    listed = None if document.get("listed") is None else datetime.datetime.fromisoformat(document["listed"])
    older, newer = document["older"], document["newer"]
    if not isinstance(newer, list) or not all(isinstance(text, str) for text in (*texts, *inputs, *inputs.values(), *newer)):
        raise TypeError("not text")
    if type(older) is not int or older < 0 or boundary.tzinfo is None or (listed is not None and listed.tzinfo is None):
        raise ValueError("not a number of members, or not a date in UTC")
    address, spec, identity, version = texts
    return Proof(Claim(address, spec, inputs, identity, version), boundary, older, frozenset(newer), listed)
