"""Sphinx settings of the documentation; `docs/site/build.py` stages the pages and runs it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmark import __version__

project = "exitbench"
author = "the exitbench maintainers"
release = version = __version__
root_doc = "docs/index"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["docs/site", "docs/examples"]
html_theme = "furo"  # no font, script or style from another address
html_title = f"exitbench {release}"
html_copy_source = False
myst_heading_anchors = 4
myst_links_external_new_tab = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True, "exclude-members": "model_config"}
# Optional extras need not be installed for their modules' pages.
autodoc_mock_imports = ["ray", "submitit", "hydra_plugins", "pynvml", "fvcore", "sbatch"]
suppress_warnings = ["docutils", "ref.python", "autodoc.mocked_object", "myst.header"]
