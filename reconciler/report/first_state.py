"""The text of a first state file, with comments, for somebody who has none yet."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class FirstState:
    """The answers to the questions about a first state file.

    Parameters
    ----------
    title : `str`
        Purpose of the state.
    repository : `str`
        Location of the Butler repository; empty for a state without one.
    create : `bool`
        Whether an apply creates the repository if it doesn't exist.
    rse : `str`
        RSE of this facility; empty for a state without Rucio.
    schema : `str`
        Path or URL of the JSON Schema for editors.
    """

    title: str
    repository: str
    create: bool
    rse: str
    schema: str


def format_first_state(answers: FirstState) -> str:
    """Return the text of a state file; further tables are in comments.

    With a repository, it has a RUN collection and a chain as examples, which an apply would create.
    """
    sections = [_HEAD.format(schema=answers.schema, title=_quote(answers.title))]
    if answers.repository:
        create = _CREATE if answers.create else _NO_CREATE
        sections += [_REPOSITORY.format(uri=_quote(answers.repository), create=create), _COLLECTIONS]
    if answers.rse:
        sections.append(_RUCIO.format(rse=_quote(answers.rse)))
    return "\n".join(sections)


def _quote(text: str) -> str:
    """Return a string of TOML; a dollar sign would begin a variable."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)


_HEAD = """\
#:schema {schema}
# What exists, as one file. reconcile diff compares it with the live systems, and reconcile apply makes what is missing.
# reconcile help lists the tables, and reconcile help KIND explains one.

[reconcile]
version = 1
title = {title}

# Variables, used as ${{name}} in the strings below; --var NAME=VALUE overrides one.
# [vars]
# data = "/data/instrument"
"""
_CREATE = "create = true       # an apply creates it if it doesn't exist"
_NO_CREATE = "# create = true     # if an apply should create it"
_REPOSITORY = """\
[repository]
uri = {uri}
{create}
"""
_COLLECTIONS = """\
# A RUN collection. Braces make several: "u/me/night{1..3}" are three collections.
[collection."u/me/first"]
type = "RUN"

# A chain that searches it. It may also name collections that no table of this file makes.
[chain."u/me/all"]
children = ["u/me/first"]

# Raw exposures that are on disk already:
# [raw."LSSTComCam/raw/all"]
# instrument = "LSSTComCam"
# locations = ["${data}/raw"]
"""
_RUCIO = """\
# The server and the account come from rucio.cfg, and credentials never belong into this file.
[rucio]
rse = {rse}         # the RSE of this facility: files count as delivered once they are available there

# A dataset with a rule that brings it here:
# [rucio_dataset."raw:Dataset/nights/20241108"]
# rules = [{{ rse_expression = {rse} }}]
"""
