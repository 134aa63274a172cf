"""Read an XML document that may be hostile: no DTD, no entities, limited depth and size."""

import base64
import binascii
from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import (  # nosec B405 - only its tree, filled by the parser below
    Element,
    TreeBuilder,
)
from xml.parsers import expat  # nosec B407 - declarations are refused below

from vaultr.client.imports.problems import reject

_DEPTH_MOST: Final = 200
_ELEMENTS_MOST: Final = 4_000_000


class _Builder:
    """Builds the tree, and decrypts protected values in document order."""

    def __init__(self, unprotect: Callable[[bytes], bytes] | None) -> None:
        self._tree = TreeBuilder()
        self._unprotect = unprotect
        self._depth = 0
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _DEPTH_MOST:
            reject(f"This XML is nested more than {_DEPTH_MOST} deep.")
        if self._elements > _ELEMENTS_MOST:
            reject(f"This XML has more than {_ELEMENTS_MOST} elements.")
        self._tree.start(name, attributes)

    def end(self, name: str) -> None:
        self._depth -= 1
        element = self._tree.end(name)
        if element.get("Protected", "").lower() == "true" and element.text and not len(element):
            element.text = self._opened(element.text)

    def _opened(self, text: str) -> str:
        if self._unprotect is None:
            reject("This XML has encrypted values. Export it from KeePass again, as plain XML.")
        try:
            data = self._unprotect(base64.b64decode(text, validate=True))
        except binascii.Error:
            reject("This KeePass file is damaged: a protected value is not base64.")
        return data.decode(errors="surrogateescape")

    def data(self, text: str) -> None:
        self._tree.data(text)

    def close(self) -> Element:
        return self._tree.close()


def parse(data: bytes, unprotect: Callable[[bytes], bytes] | None = None) -> Element:
    """Return the root element.

    :param unprotect: decrypts the protected values, one after another.
    :raises ImportProblems: it is not well-formed, has a DTD or an entity, or is nested too deeply.
    """
    builder = _Builder(unprotect)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _reject_declarations
    parser.EntityDeclHandler = _reject_declarations
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat takes no keywords
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        reject(f"Line {error.lineno} is not XML: {reason}. The file may have been cut off.")
    except (LookupError, ValueError):
        reject("This XML names an encoding that Vaultr does not read. Save it as UTF-8.")
    return builder.close()


def _reject_declarations(*_: object) -> None:
    reject("This XML has a DTD or declares entities, which no export needs. It was not read.")
