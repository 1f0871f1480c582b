"""Configuration of the documentation site. `make docs` builds it into ``docs/_build/html``."""

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # graphs are built, nothing is computed
sys.path.insert(0, str(Path(__file__).parents[1]))

from sphinx.application import Sphinx

from docs.tools import api, generate

project = "keras-archs"
copyright = "the authors of keras-archs, Apache-2.0"
release = version = installed_version("keras-archs")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.tools.mathml"]
exclude_patterns = ["_build", "generated", "tools"]
nitpicky = True
# Types of other projects: their documentation is on other hosts, which a build does not ask.
nitpick_ignore_regex = [("py:.*", r"(?!keras_archs\.).*"), ("py:obj", ".*")]

myst_enable_extensions = ["colon_fence", "dollarmath", "amsmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks are committed with their outputs
nb_ipywidgets_js: dict[str, str] = {}  # would come from another host
html_math_renderer = "mathml"

default_role = "py:obj"  # a name in single backticks becomes a link if the site documents it
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_display_short_literal_types = True
maximum_signature_line_length = 88
toc_object_entries = False

html_theme = "furo"
html_title = "keras-archs"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def setup(app: Sphinx) -> None:
    """Generate tables and pictures before the pages are read."""
    shared = api.SharedArguments()
    app.connect("builder-inited", lambda _: generate.main())
    app.connect("autodoc-process-signature", shared.shorten_signature)
    app.connect("autodoc-process-docstring", shared.shorten_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", api.keep_layouts)
    app.connect("autodoc-process-docstring", api.keep_colons, priority=400)
