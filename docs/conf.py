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

# References to the public modules have to resolve. Python and libraries would need their inventories from the network, and other
# modules are not documented.
nitpick_ignore_regex = [
    ("py:.*", r"(?!reconciler\.(?:session|errors|engine|systems\.context)\.).*"),
    ("py:.*", r".*\.[A-Z]"),  # type variables
]
autodoc_member_order = "bysource"

# Readers are not counted. A site map and social cards need the address of a published copy.
html_theme_options.pop("analytics", None)
extensions.remove("sphinx_sitemap")
ogp_social_cards = {"enable": False}
