"""Sphinx configuration. The build needs no network access."""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator
from sphinx_gallery.sorting import ExplicitOrder

import skdann

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import parameter_groups  # noqa: E402
import public_names  # noqa: E402
import results  # noqa: E402

NOTEBOOKS = HERE.parent / "examples" / "notebooks"
STUB_LIST = "_made/public_names.rst"  # written by docs/public_names.py

# -- project ----------------------------------------------------------------------------------

project = "skdann"
author = "skdann developers"
copyright = "2026, skdann developers"
version = release = skdann.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_made", "auto_examples/*.ipynb", "jupyter_execute"]
default_role = "code"

# -- references -------------------------------------------------------------------------------

nitpicky = True
# documented by other projects, whose inventories are not downloaded
nitpick_ignore_regex = [(r"py:.*", r"(sklearn|skorch|torch|numpy|scipy|pandas|joblib)\..*")]
suppress_warnings = ["config.cache"]  # sphinx-gallery's sorting key is an object

# -- docstrings -------------------------------------------------------------------------------

autodoc_typehints = "none"
autosummary_generate = [STUB_LIST]
autosummary_context = {
    "is_documented_method": public_names.is_documented_method,
    "is_documented_property": public_names.is_documented_property,
}
numpydoc_show_class_members = False  # the class template lists them
toc_object_entries_show_parents = "hide"  # method names alone fit beside the page

# -- pages and notebooks ----------------------------------------------------------------------

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "force"  # always run, in a clean kernel
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove-warn"  # a warning in a notebook is also a build warning

# -- gallery ----------------------------------------------------------------------------------

warnings.filterwarnings("error", module="skdann")
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(quickstart|__init__)\.py",
    "within_subsection_order": ExplicitOrder(
        [
            "plot_does_it_help.py",
            "plot_lambda_path.py",
            "plot_embedding.py",
            "plot_choose_without_labels.py",
            "plot_label_shift.py",
            "plot_target_labels.py",
            "plot_several_sources.py",
            "plot_regression.py",
            "plot_custom_modules.py",
            "*",
        ]
    ),
    "backreferences_dir": "api/backreferences",
    "doc_module": ("skdann",),
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),  # a plain repr may contain a memory address
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "nested_sections": False,
}

# -- theme ------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "skdann"
html_static_path = ["_static"]
html_css_files = ["skdann.css"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "skdann"},
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {name: [] for name in ("index", "tutorial", "benchmarks", "benchmark_tables")}
html_sidebars |= {name: [] for name in ("comparison", "migration", "references", "changelog")}


def _math(node: nodes.math | nodes.math_block, *, is_block: bool) -> str:
    text = re.sub(r"\\[bB]igg?[lr]?(?![a-zA-Z])", "", node.astext())  # MathML stretches them
    if is_block and r"\\" in text and r"\begin" not in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    return tex2mathml(text, as_block=is_block)


def _visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(_math(node, is_block=False))
    raise nodes.SkipNode


def _visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math">{_math(node, is_block=True)}</div>')
    raise nodes.SkipNode


def _make_pages(app: Sphinx) -> None:
    """Write the generated pages, and copy the notebooks into the source folder."""
    results.write_pages()
    public_names.write_stub_list(HERE / "api.rst", HERE / STUB_LIST)
    (HERE / "notebooks").mkdir(exist_ok=True)
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy2(path, HERE / "notebooks" / path.name)


def setup(app: Sphinx) -> None:
    """Render equations as MathML, without JavaScript; generate pages before the build."""
    app.connect("autodoc-process-docstring", parameter_groups.process_docstring, priority=600)
    app.add_directive("public-names", public_names.PublicNames)
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.connect("builder-inited", _make_pages, priority=1)


html_math_renderer = "mathml"
