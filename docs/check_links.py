"""Fail if an internal link, image or anchor of the built site does not exist.

python docs/check_links.py docs/_build/html
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the link or anchor of a tag."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(folder: Path) -> list[str]:
    """Return the broken links of all pages in the folder, each with its page."""
    every = sorted(folder.rglob("*.html"))  # the theme keeps templates in _static
    files = [path.resolve() for path in every if "_static" not in path.parts]
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in files}
    broken = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            has_anchor = to not in pages or unquote(parts.fragment) in pages[to].anchors
            if not to.is_file() or not has_anchor:
                broken.append(f"{path.relative_to(folder.resolve())}: {link}")
    return broken


def main() -> None:
    """Print broken links; the exit status is 1 if there are any."""
    folder = Path(sys.argv[1])
    if not (folder / "index.html").exists():
        sys.exit(f"{folder} has no index.html; build the site first with `make docs`.")
    broken = broken_links(folder)
    sys.exit("\n".join(["broken links:", *broken]) if broken else 0)


if __name__ == "__main__":
    main()
