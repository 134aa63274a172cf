"""The search of `flask canary search` finds every form of a value, wherever it is split."""

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import re
import zipfile
import zlib
from urllib.parse import quote, quote_plus

import pytest

from vaultr.backup.marker_search import Search, found_in, zstd

VALUE = 'vk12ab34-"Grüße" & 100%\n\\end'
KEY = bytes(range(200, 232))
NOISE = os.urandom(5000)


def zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/server.log", data)
    return file.getvalue()


def raw_base64(data, offset):
    return base64.b64encode(b"x" * offset + data + b"yz")


FORMS = {
    "raw": VALUE.encode(),
    "json": json.dumps({"a": VALUE}).encode(),
    "json in utf-8": json.dumps({"a": VALUE}, ensure_ascii=False).encode(),
    "json in json": json.dumps(json.dumps({"a": VALUE})).encode(),
    "python": VALUE.encode("unicode_escape"),
    "hex": VALUE.encode().hex().encode(),
    "upper hex": VALUE.encode().hex().upper().encode(),
    "base64": raw_base64(VALUE.encode(), 0),
    "base64 at 1": raw_base64(VALUE.encode(), 1),
    "base64 at 2": raw_base64(VALUE.encode(), 2),
    "base64 at 47": raw_base64(VALUE.encode(), 47),
    "base64url": base64.urlsafe_b64encode(b"?>" + VALUE.encode()),
    "url": quote(VALUE, safe="").encode(),
    "url in lower case": re.sub("%..", lambda hit: hit[0].lower(), quote(VALUE, safe="")).encode(),
    "form": quote_plus(VALUE).encode(),
    "html": b"vk12ab34-&quot;Gr\xc3\xbc\xc3\x9fe&quot; &amp; 100%\n\\end",
    "utf-16": VALUE.encode("utf-16-le"),
    "utf-16 big endian": VALUE.encode("utf-16-be"),
}
PACKED = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zlib fast": lambda data: zlib.compress(data, 1),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "zstd at 19": lambda data: zstd.compress(data, 19),
    "zip": zipped,
    "gzip in zip": lambda data: zipped(gzip.compress(data)),
    "gzip after gzip": lambda data: gzip.compress(b"first") + gzip.compress(data),
    "zstd after zstd": lambda data: zstd.compress(b"first") + zstd.compress(data),
}


@pytest.mark.parametrize("form", FORMS)
def test_value_is_found_in_every_form(form):
    heap = NOISE + FORMS[form] + NOISE

    assert found_in({VALUE, "another value"}, heap) == {VALUE}


@pytest.mark.parametrize("pack", PACKED)
def test_value_is_found_in_compressed_data(pack):
    heap = NOISE + PACKED[pack](b"log " * 5000 + VALUE.encode() + NOISE) + NOISE

    assert found_in({VALUE, "another value"}, heap) == {VALUE}


def test_key_is_found_as_bytes_and_as_text():
    for stored in (KEY, KEY.hex().encode(), base64.urlsafe_b64encode(b"a" + KEY)):
        search = Search({"key": KEY, "other": bytes(32)})
        search.feed(b"noise" + stored)
        search.end()

        assert search.found == {"key"}


@pytest.mark.parametrize("content", ["raw", "gzip", "zstd", "zip"])
def test_value_split_between_chunks_is_found(content):
    packed = {"raw": bytes, "gzip": gzip.compress, "zstd": zstd.compress, "zip": zipped}[content]
    heap = b"before " + packed(b"some text " + VALUE.encode() + b" more text")

    for cut in range(1, len(heap)):
        search = Search({"value": VALUE})
        for piece in (heap[:cut], heap[cut:]):
            search.feed(piece)
        search.end()
        assert search.found == {"value"}, cut


def test_many_values_are_found_in_one_pass():
    values = {f"value-{number:05}" for number in range(600)}

    assert found_in(values, NOISE + b"value-00417" + "value-00599".encode("utf-16-le")) == {
        "value-00417",
        "value-00599",
    }


def test_size_counts_the_bytes_of_the_stream():
    search = Search({"value": VALUE})

    search.feed(NOISE)
    search.feed(gzip.compress(bytes(10_000_000)))
    search.end()

    assert search.found == set()
    assert search.size == len(NOISE) + len(gzip.compress(bytes(10_000_000)))


def test_damaged_compressed_data_is_searched_up_to_the_damage():
    packed = bytearray(zlib.compress(VALUE.encode() + os.urandom(50_000)))
    packed[40_000:] = bytes(100)

    assert found_in({VALUE}, bytes(packed)) == {VALUE}
