"""Pages that show secrets load nothing from other origins."""

import re

from tests.guards import source_tree

PAGES = {".html", ".css", ".js", ".svg", ".py", ".jinja"}
# A namespace is only a name that looks like a URL; nobody requests it.
NAMES = (
    "http://www.w3.org/2000/svg",
    "http://www.w3.org/1999/xlink",
    "http://www.w3.org/1999/xhtml",
)
OFF_SITE = re.compile(r"""(?:https?:|wss?:)//[^\s"'<>)]+|(?:=\s*|url\(\s*)["']?//[\w.-]+""")


def test_pages_refer_to_no_external_url():
    web = source_tree.PACKAGE / "web"
    pages = [path for path in web.rglob("*") if path.suffix in PAGES]
    pages += [
        path for path in source_tree.PACKAGE.rglob("*") if path.suffix in {".html", ".css", ".js"}
    ]
    named = {
        f"{source_tree.shown(path)}: {address}"
        for path in pages
        for address in OFF_SITE.findall(path.read_text())
        if not address.startswith(NAMES)
    }

    assert named == set()
