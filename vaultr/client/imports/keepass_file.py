"""Reads a KeePass database as drafts of items."""

from vaultr.client.imports import kdbx, keepass_xml
from vaultr.client.imports.file_format import check_whole
from vaultr.client.imports.problems import reject
from vaultr.client.imports.reading import ImportFile, Reading


def read_file(file: ImportFile) -> Reading:
    """Decrypt a database and read what is in it.

    :raises ImportProblems: it cannot be opened, or an entry is wrong.
    """
    check_whole(file.data)
    database = kdbx.open_database(file.data, file.ask_password, file.key_file)
    if not database.xml.strip():
        reject("This KeePass database is empty.")
    return keepass_xml.read_document(database.xml, database.unprotect)
