"""Write items as a CSV table for spreadsheets and other managers."""

import csv
import io
from typing import Final

from vaultr.client.exports.documents import Contents, Document
from vaultr.client.exports.item_fields import custom_fields, remaining, text_in, texts_in
from vaultr.client.vaultr_client import Item

_HEADER: Final = (
    *("vault", "type", "title", "username", "password", "url", "totp", "notes"),
    *("folder", "tags", "favourite", "archived", "expires_on", "fields"),
)
# Values that a spreadsheet would compute. Source: OWASP, "CSV injection".
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_TAKEN: Final = frozenset(
    {"title", "username", "password", "urls", "totp", "notes", "folder", "tags"}
    | {"favourite", "archived", "expires_on"}
)


def document(contents: Contents) -> Document:
    """Write one row for each item; values without a column become lines in ``fields``."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(_HEADER)
    escaped = 0
    for vault, item in contents.items:
        cells = _cells(vault, item)
        safe = [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]
        escaped += sum(one != other for one, other in zip(cells, safe, strict=True))
        writer.writerow(safe)
    notices = ["A CSV file cannot hold password history, passkeys or match rules."]
    if escaped:
        notices.append(
            f"{escaped} {'value begins' if escaped == 1 else 'values begin'} like a spreadsheet"
            " formula, so a ' was added in front. Remove it before you use the value."
        )
    return Document(target.getvalue(), notices)


def _cells(vault: str, item: Item) -> list[str]:
    overview, detail = item.overview, item.detail
    fields = [f"{each.get('name', '')}: {each.get('value', '')}" for each in custom_fields(item)]
    fields += [f"{each.name}: {each.value}" for each in remaining(item, _TAKEN)]
    return [
        vault,
        item.type,
        item.title,
        text_in(overview, "username"),
        text_in(detail, "password"),
        "\n".join(texts_in(overview, "urls")),
        text_in(detail, "totp"),
        text_in(detail, "notes"),
        text_in(overview, "folder"),
        ", ".join(texts_in(overview, "tags")),
        "1" if overview.get("favourite") is True else "",
        "1" if overview.get("archived") is True else "",
        text_in(overview, "expires_on"),
        "\n".join(fields),
    ]
