"""The tables of a state file that are not resources: what it is, and how Rucio is reached."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1


class Header(BaseModel):
    """``[reconcile]``: what this file is."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="reconcile")

    version: Literal[1] = Field(description="Version of the format.", examples=[1])
    title: str = Field("", description="What the state is for, in a few words.", examples=["ComCam multisite campaign at FrDF"])
    ticket: str = Field("", description="Where it was decided.", examples=["DM-48746"])
    about: str = Field("", description="Anything a colleague should know first.")


class RucioSettings(BaseModel):
    """``[rucio]``: how the server is reached. Credentials come only from rucio.cfg or the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="rucio")

    config: str | None = Field(None, description="A rucio.cfg; that of RUCIO_CONFIG if left out.")
    account: str | None = Field(None, description="Account; that of the configuration if left out.", examples=["frdf"])
    rse: str | None = Field(
        None, description="This facility's RSE: what is delivered is what is available there.", examples=["IN2P3_RAW_DISK"]
    )
    timeout: float = Field(60, gt=0, description="Seconds to wait for an answer.")
