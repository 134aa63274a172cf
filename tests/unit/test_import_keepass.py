"""KeePass databases open in every version, derivation and cipher, but only within bounds."""

import io
import struct

import pykeepass
import pytest

from tests.fixtures import make_keepass
from vaultr.client.crypto import primitives
from vaultr.client.imports import formats, kdbx_key
from vaultr.client.imports.problems import ImportProblems
from vaultr.client.imports.reading import ImportFile


def read(data, **options):
    options.setdefault("ask_password", lambda: make_keepass.PASSWORD)
    return formats.recognise(data).read(ImportFile(data, **options))


def rejected(data, **options):
    with pytest.raises(ImportProblems) as problems:
        read(data, **options)
    return str(problems.value)


@pytest.mark.parametrize("cipher", ["aes256", "chacha20"])
@pytest.mark.parametrize("kdf", ["argon2", "argon2id", "aeskdf"])
@pytest.mark.matrix(3)
def test_keepass_4_opens_with_every_derivation_and_cipher(kdf, cipher):
    data = make_keepass.saved(make_keepass.database(), kdf=kdf, cipher=cipher)

    reading = read(data)

    mail = next(draft for draft in reading.drafts if draft.overview["title"] == "Mail")
    assert mail.overview["folder"] == "Work/Servers"
    assert mail.overview["expires_on"] == "2031-02-03"
    assert (mail.detail["password"], mail.detail["notes"]) == ("second", make_keepass.HOSTILE)
    assert mail.detail["history"][0]["password"] == "first"
    assert {each.what for each in reading.report.left_out} == {"attachment scan.pdf", "entry"}


@pytest.mark.parametrize("packed", [True, False])
def test_keepass_3_opens_here_and_in_pykeepass(packed):
    mask = primitives.salsa20(primitives.sha256(bytes(range(96, 128))),
                              bytes.fromhex("e830094b97205d2a"))  # fmt: skip
    values = ["first ✓", "s" * 200]
    sealed = [
        make_keepass.salted(each.encode(), mask(bytes(len(each.encode())))) for each in values
    ]
    entries = "".join(
        f"<Entry><String><Key>Title</Key><Value>{number}</Value></String><String><Key>Password</Key>"
        f'<Value Protected="True">{value}</Value></String></Entry>'
        for number, value in enumerate(sealed, start=1)
    )
    xml = f"<KeePassFile><Meta/><Root><Group><Name>R</Name>{entries}</Group></Root></KeePassFile>"

    data = make_keepass.version_3(xml.encode(), packed=packed)

    assert [draft.detail["password"] for draft in read(data).drafts] == values
    if packed:
        theirs = pykeepass.PyKeePass(io.BytesIO(data), password=make_keepass.PASSWORD)
        assert [entry.password for entry in theirs.entries] == values


def test_keepass_3_with_changed_header_is_rejected():
    xml = b"""<KeePassFile><Meta><HeaderHash>HEADER_HASH</HeaderHash></Meta><Root><Group>
        <Entry><String><Key>Title</Key><Value>Mail</Value></String></Entry></Group></Root>
        </KeePassFile>"""
    data = make_keepass.version_3(xml)
    stream_key = data.index(bytes(range(96, 128)))

    assert len(read(data).drafts) == 1

    assert "damaged" in rejected(data[:stream_key] + b"x" + data[stream_key + 1 :])


@pytest.mark.parametrize("kind", ["random", "binary", "hex", "xml1", "xml2"])
@pytest.mark.matrix(3)
def test_keepass_key_file_of_every_kind_opens(kind, tmp_path):
    key = bytes(range(32))
    hashed = primitives.sha256(key)[:4].hex()
    content = {
        "random": b"any file at all",
        "binary": key,
        "hex": key.hex().encode(),
        "xml1": b"<?xml version='1.0'?><KeyFile><Meta><Version>1.00</Version></Meta><Key><Data>"
        b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=</Data></Key></KeyFile>",
        "xml2": f"<?xml version='1.0'?><KeyFile><Meta><Version>2.0</Version></Meta><Key>"
        f"<Data Hash='{hashed}'>{key.hex()}</Data></Key></KeyFile>".encode(),
    }[kind]
    (file := tmp_path / "key").write_bytes(content)
    data = make_keepass.saved(make_keepass.database(keyfile=str(file)), kdf="aeskdf")

    assert len(read(data, key_file=content).drafts) == 2
    assert "key file" in rejected(data)
    assert "wrong" in rejected(data, key_file=b"another")


def test_keepass_xml_with_entities_or_dtd_is_rejected():
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><KeePassFile>&a;</KeePassFile>'

    assert "DTD" in rejected(bomb)
    assert "entities" in rejected(b"<?xml version='1.0'?>" + bomb)
    assert "nested" in rejected(b"<KeePassFile>" + b"<a>" * 500)
    assert "not XML" in rejected(b"<KeePassFile>&undefined;</KeePassFile>")
    assert "encrypted values" in rejected(
        b"<KeePassFile><Root><Group><Entry><String><Key>a</Key><Value Protected='True'>YQ==</Value>"
        b"</String></Entry></Group></Root></KeePassFile>"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"$UUID": bytes(16)}, "does not support"),
        ({"M": 1 << 42}, "more time or memory"),
        ({"I": 1 << 40}, "more time or memory"),
        ({"P": 4000}, "more time or memory"),
        ({"V": 9}, "invalid key derivation parameters"),
        ({"S": b"s"}, "invalid key derivation parameters"),
    ],
)
def test_keepass_costs_out_of_bounds_are_rejected_before_password(change, message):
    values = {"$UUID": bytes.fromhex("9e298b1956db4773b23dfc3ec6f0a1e6"), "S": bytes(32), "P": 1,
              "M": 1 << 26, "I": 2, "V": 0x13}  # fmt: skip
    with pytest.raises(ImportProblems, match=message):
        kdbx_key.derivation({**values, **change})
    with pytest.raises(ImportProblems, match="more time or memory"):
        kdbx_key.aes_derivation(bytes(32), 1 << 40)


def test_unsupported_keepass_version_or_cipher_is_reported():
    data = make_keepass.saved(make_keepass.database(), kdf="aeskdf")
    twofish = bytes.fromhex("ad68f29f576f4bb9a36ad47af965346c")

    assert "KeePass 1" in rejected(data[:4] + bytes.fromhex("65fb4bb5") + data[8:])
    assert "version 5.0" in rejected(data[:8] + bytes((0, 0, 5, 0)) + data[12:])
    aes = bytes.fromhex("31c1f2e6bf714350be5805216afc5aff")
    assert "Twofish" in rejected(data.replace(aes, twofish))
    assert "damaged" in rejected(data[:200])
    assert "damaged" in rejected(data[:-40])


def test_truncated_parameters_are_reported_as_damage():
    data = b"\x00\x01" + b"\x42\x01\x00\x00\x00S\x02\x00\x00\x00ab" + b"\x00"

    assert kdbx_key.parameters(data) == {"S": b"ab"}
    for size in range(len(data)):
        with pytest.raises((struct.error, ValueError)):
            kdbx_key.parameters(data[:size])
