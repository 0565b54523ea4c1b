"""Tables of a state file that describe the file itself and how to reach Rucio, rather than a resource."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Header(BaseModel):
    """``[reconcile]``: format version and description of this state file."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="reconcile")

    version: Literal[1] = Field(description="Version of the state file format.", examples=[1])
    title: str = Field("", description="Purpose of this state, in a few words.", examples=["ComCam multisite campaign at FrDF"])
    ticket: str = Field("", description="Ticket in which this state was decided.", examples=["DM-48746"])
    about: str = Field(
        "",
        description="Background for anyone who reads or edits this file.",
        examples=["Built for the multisite test; replaces the note of the first campaign."],
    )


class RucioSettings(BaseModel):
    """``[rucio]``: how to reach the Rucio server. Credentials come only from rucio.cfg or environment variables."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="rucio")

    config: str | None = Field(
        None,
        description="Path of a rucio.cfg, relative to this file. Default: RUCIO_CONFIG or Rucio's own search path.",
        examples=["rucio.cfg"],
    )
    account: str | None = Field(None, description="Rucio account. Default: the account of the configuration.", examples=["frdf"])
    rse: str | None = Field(
        None,
        description="RSE of this facility. A file counts as delivered once it is available there.",
        examples=["IN2P3_RAW_DISK"],
    )
    timeout: float = Field(60, gt=0, description="Seconds to wait for each answer of the server.", examples=[120])
