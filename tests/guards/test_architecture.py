"""docs/architecture.md names every package, and no others."""

import re

from tests.guards import source_tree

PAGE = source_tree.ROOT / "docs" / "architecture.md"
CLIENT = source_tree.PACKAGE / "client"


def test_page_lists_packages_of_server_and_client():
    server, client = PAGE.read_text().split("## The client")

    assert _listed(server) == _packages(source_tree.PACKAGE) - {"client"}
    assert _listed(client.split("## Where")[0]) == _packages(CLIENT)


def test_client_packages_are_listed_in_layer_order():
    """In the order of the import contract, from the highest to the lowest layer."""
    contract = (
        (source_tree.ROOT / "setup.cfg").read_text().partition("containers = vaultr.client\n")[2]
    )
    floors = re.search(r"layers =\n((?: {4}.*\n)+)", contract)[1]
    order = [re.findall(r"\w+", line) for line in floors.splitlines()]
    place = {name: number for number, names in enumerate(order) for name in names}
    listed = re.findall(r"^\| (`.*?) \|", PAGE.read_text().split("## The client")[1], re.MULTILINE)
    rows = [row for row in listed if row.startswith("`") and "/`" in row and ".py" not in row]
    places = [place[re.match(r"`(\w+)/", row)[1]] for row in rows]

    assert len(rows) > 6
    assert places == sorted(places)


def test_modules_on_the_page_exist():
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE.read_text()))
    there = {
        name
        for name in named
        for root in (source_tree.ROOT, source_tree.PACKAGE, CLIENT)
        if (root / name).exists()
    }

    assert named - there == set()


def _listed(text):
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)/`", row)}


def _packages(folder):
    return {path.parent.name for path in folder.glob("*/__init__.py")}
