"""Password checks, on items and with a list of breached hashes."""

import hashlib
import random
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from vaultr.client.password_health.breach_file import BreachFile, BreachFileInvalid
from vaultr.client.password_health.findings import Limits, findings
from vaultr.client.vaultr_client import Item

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMITS = Limits(NOW.date(), timedelta(days=730), timedelta(days=30))


def item(number, title, detail, *, kind="login", updated=NOW, **overview):
    return Item(UUID(int=number), UUID(int=9), kind, 1, 1, "active", updated, updated,
                {"title": title, **overview}, detail)  # fmt: skip


def found(*items, **options):
    return [(each.kind, each.item.title) for each in findings(items, LIMITS, **options)]


def test_reused_weak_old_and_expiring_passwords_are_listed_by_title():
    old = NOW - timedelta(days=800)
    strong = {"totp": "x", "password": "correct horse battery staple 77"}
    items = (
        item(1, "A", {**strong, "password": "same long passphrase 19 !"}),
        item(2, "B", {**strong, "password": "same long passphrase 19 !"}),
        item(3, "Weak", {**strong, "password": "password1"}),
        item(4, "Old", strong, updated=old),
        item(5, "Fresh", {**strong, "password": "another one of length 88",
                          "history": [{"password": "x", "used_until": "2026-05-01T00:00:00Z"}]},
             updated=old),
        item(6, "Soon", {}, kind="api_key", expires_on="2026-06-20"),
        item(7, "Copied not", {"expires_at": "2026-05-20"}, kind="api_key"),
        item(8, "Later", {}, kind="api_key", expires_on="2027-06-20"),
        item(9, "No factor", {"password": "third long passphrase 91 ?"}),
        item(10, "Passkey", {"password": "fourth long phrase 91 ?", "passkeys": [{"a": "b"}]}),
    )  # fmt: skip

    assert found(*items) == [
        ("reused", "A"),
        ("reused", "B"),
        ("weak", "Weak"),
        ("old", "Old"),
        ("expiring", "Copied not"),
        ("expiring", "Soon"),
        ("no-second-factor", "No factor"),
    ]


def test_findings_contain_no_password():
    items = [item(n, f"T{n}", {"password": "hunter2"}) for n in (1, 2)]

    texts = [f"{each.kind} {each.message}" for each in findings(items, LIMITS)]

    assert texts
    assert not any("hunter2" in each for each in texts)


def test_unopenable_or_malformed_item_is_skipped():
    items = (
        item(1, "Closed", None),
        item(2, "Odd", {"history": "x", "source": [], "expires_at": 7}, expires_on="31.12.2026"),
    )

    assert found(*items) == []


def test_breached_passwords_are_found_in_a_large_sorted_file(tmp_path):
    source = random.Random(1)
    hashes = sorted({hashlib.sha1(str(source.random()).encode()).hexdigest().upper()
                     for _ in range(3000)})  # fmt: skip
    breached = hashlib.sha1(b"password1").hexdigest().upper()
    lines = sorted([*(f"{each}:{source.randint(1, 10**9)}" for each in hashes), f"{breached}:42"])
    (file := tmp_path / "hashes.txt").write_text("\r\n".join(lines) + "\r\n")

    with BreachFile(file) as opened:
        counts = [opened.count(bytes.fromhex(line.partition(":")[0])) for line in lines]
        missing = [opened.count(hashlib.sha1(str(n).encode()).digest()) for n in range(500)]
        found = findings([item(1, "A", {"password": "password1", "totp": "x"})],
                         LIMITS, opened.count)  # fmt: skip

    assert counts == [int(line.partition(":")[2]) for line in lines]
    assert sum(missing) == 0
    assert [(each.kind, each.message) for each in found if each.kind == "breached"] == [
        ("breached", "seen in breaches: 42")
    ]


@pytest.mark.parametrize("content", [b"", b"password1\n", b"\xff" * 500, b"A" * 39 + b":1\n"])
def test_file_without_hashes_is_rejected(content, tmp_path):
    (file := tmp_path / "wrong").write_bytes(content)

    with pytest.raises(BreachFileInvalid):
        BreachFile(file)


def test_expired_item_is_reported():
    [one] = findings([item(1, "A", {}, expires_on="2026-05-31")], LIMITS)

    assert one.message == f"expired on {date(2026, 5, 31)}"
