"""Read a KeePass database as drafts of items."""

import base64
from xml.etree.ElementTree import Element  # nosec B405 - only its type

from vaultr.client.imports import kdbx, keepass_xml, xml_document
from vaultr.client.imports.file_format import check_whole
from vaultr.client.imports.problems import reject
from vaultr.client.imports.reading import ImportFile, Reading


def read_file(file: ImportFile) -> Reading:
    """Decrypt a database and read its entries.

    :raises ImportProblems: it cannot be opened, or an entry is invalid.
    """
    check_whole(file.data)
    database = kdbx.open_database(file.data, file.ask_password, file.key_file)
    if not database.xml.strip():
        reject("This KeePass database is empty.")
    root = xml_document.parse(database.xml, database.unprotect)
    _check_header(root, database.header_hash)
    return keepass_xml.read_document(root)


def _check_header(root: Element, header_hash: bytes | None) -> None:
    """Check the header of version 3.1, which contains the key of the protected values.

    :raises ImportProblems: the document has the hash of another header; some programs leave it out.
    """
    named = root.findtext("Meta/HeaderHash")
    if header_hash is None or not named:
        return
    if named.strip() != base64.b64encode(header_hash).decode():
        reject(kdbx.DAMAGED)
