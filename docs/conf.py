"""Sphinx configuration: Rubin's guide configuration, with generated reference pages and no access to the network."""

import os
import sys
from pathlib import Path

from documenteer.conf.guide import *  # noqa: F403
from documenteer.conf.guide import exclude_patterns, extensions, html_theme_options

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
os.environ["COLUMNS"] = "110"  # click wraps its help for the terminal of whoever builds

extensions += ["reference_pages"]
exclude_patterns += ["_ext"]
author = "the reconcile maintainers"

# Text is shown as it is written: two dashes begin an option, and a dollar sign a variable.
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "off"

# Names of the project have to exist. Those of Python and of libraries can't be checked without their inventories.
nitpick_ignore_regex = [("py:.*", r"(?!reconciler\.).*")]
autodoc_member_order = "bysource"

# Readers are not counted, and a copy without the history of the repository can be built.
html_theme_options.pop("analytics", None)
suppress_warnings = ["git.too_shallow", "git.subprocess_error"]
