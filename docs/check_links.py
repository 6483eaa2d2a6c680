"""Fail unless every internal link, picture and anchor of the built site is there.

python docs/check_links.py docs/_build/html
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the anchors it offers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag points to, and its name."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(folder: Path) -> list[str]:
    """Links of every page below the folder that lead nowhere."""
    found = sorted(folder.rglob("*.html"))  # the theme keeps templates in _static
    files = [path.resolve() for path in found if "_static" not in path.parts]
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
    """Print broken links and exit with their number."""
    folder = Path(sys.argv[1])
    if not (folder / "index.html").exists():
        sys.exit(f"{folder} holds no index.html: build the site first, with `make docs`.")
    broken = broken_links(folder)
    sys.exit("\n".join(["broken links:", *broken]) if broken else 0)


if __name__ == "__main__":
    main()
