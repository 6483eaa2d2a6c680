"""API lists generated from each package's ``__all__``.

The directive ``.. public-names:: skdann.metrics`` is an autosummary of the package's public names,
so a page needs no edit when a name is added. ``:only:`` and ``:except:`` split a package over
several lists. Autosummary reads files, rather than running directives, to find out which stub pages
to generate; `write_stub_list` writes such a file.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.ext.autosummary import Autosummary

DIRECTIVE = re.compile(r"^\.\. public-names:: ([\w.]+)$", re.MULTILINE)


def public_names(package: str) -> list[str]:
    """Dotted names of a package's ``__all__``, without its modules."""
    module = importlib.import_module(package)
    values = {name: getattr(module, name) for name in module.__all__}
    return [f"{package}.{name}" for name, value in values.items() if not inspect.ismodule(value)]


def is_documented_method(module: str, class_name: str, method: str) -> bool:
    """Whether a method is defined in skdann, by the class or by a base class."""
    classes = getattr(importlib.import_module(module), class_name).__mro__
    owner = next(cls for cls in classes if method in vars(cls))
    return owner.__module__.startswith("skdann.") and owner.__module__ != "skdann._compat"


def is_documented_property(module: str, class_name: str, name: str) -> bool:
    """Whether an attribute is a property that skdann defines."""
    value = inspect.getattr_static(getattr(importlib.import_module(module), class_name), name, None)
    return isinstance(value, property) and value.fget.__module__.startswith("skdann.")


def write_stub_list(page: Path, path: Path) -> None:
    """List the names of every ``public-names`` directive of a page where autosummary reads them.

    Parameters
    ----------
    page : Path
        The reStructuredText page, in the folder of the documentation.
    path : Path
        File to write, one folder below `page`.
    """
    packages = dict.fromkeys(DIRECTIVE.findall(page.read_text(encoding="utf-8")))
    names = [name for package in packages for name in public_names(package)]
    head = ".. autosummary::\n   :toctree: ../api\n\n"
    path.parent.mkdir(exist_ok=True)
    path.write_text(head + "".join(f"   {name}\n" for name in names), encoding="utf-8")


class PublicNames(Autosummary):
    """An autosummary of a package's public names, with links to their pages.

    Options: `only` lists these names in this order, `except` all but these.
    """

    required_arguments = 1
    has_content = False
    option_spec = {"only": directives.unchanged, "except": directives.unchanged}  # noqa: RUF012

    def run(self):
        """Fill in the names, and let autosummary make the table."""
        package = self.arguments[0]
        self.env.note_dependency(inspect.getfile(importlib.import_module(package)))
        self.env.ref_context["py:module"] = package  # as currentmodule does, for short names
        names = [name.removeprefix(f"{package}.") for name in public_names(package)]
        left_out = self.options.get("except", "").split()
        chosen = self.options.get("only", "").split()
        if unknown := {*left_out, *chosen} - set(names):
            raise self.error(f"{package} has no public name {sorted(unknown)}")
        names = chosen or [name for name in names if name not in left_out]
        self.content = StringList(names, source=package)
        self.options = {"toctree": "api", "nosignatures": None}
        return super().run()
