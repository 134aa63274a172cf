"""Notes, checkpoints, keys and proofs as text: only the canonical form is accepted."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from vaultr.protocol import notes
from vaultr.protocol.notes import Checkpoint, KeyChange, NoteInvalid, Proof, VerificationKey

LOG = "vault.example/audit"
# From C2SP's specification of signed notes.
KNOWN_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def verify(public, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def pair(seed, name=LOG):
    private = Ed25519PrivateKey.from_private_bytes(seed * 32)
    return VerificationKey(name, private.public_key().public_bytes_raw()), private.sign


OLD, NEW = pair(b"o"), pair(b"n")
CHECKPOINT = Checkpoint(LOG, 3, 7, b"r" * 32)
CHANGE = KeyChange(LOG, 3, 7, b"r" * 32, NEW[0])


def test_verification_key_survives_round_trip():
    key = VerificationKey.parse(KNOWN_KEY)

    assert str(key) == KNOWN_KEY
    assert key.name == "sum.golang.org"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sum.golang.org",
        KNOWN_KEY[:-1],
        KNOWN_KEY.replace("033de0ae", "033de0af"),
        KNOWN_KEY.replace("sum", "sun"),
        KNOWN_KEY.replace("+Ac4z", "+Bc4z"),
    ],
)
def test_malformed_verification_key_is_invalid(text):
    with pytest.raises(NoteInvalid):
        VerificationKey.parse(text)


def test_signed_checkpoint_opens_unchanged():
    text = str(notes.sign(CHECKPOINT.text(), [OLD]))

    assert notes.open_checkpoint(text, [NEW[0], OLD[0]], verify) == CHECKPOINT


def test_every_changed_byte_of_a_checkpoint_is_detected():
    text = str(notes.sign(CHECKPOINT.text(), [OLD]))
    data = text.encode()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises((NoteInvalid, UnicodeDecodeError)):
            notes.open_checkpoint(changed.decode(), [OLD[0]], verify)


@pytest.mark.parametrize(
    "text",
    [
        "x\n1\n",
        f"{LOG}/3\n07\n{notes.encode(b'r' * 32)}\n",
        f"{LOG}/3\n-1\n{notes.encode(b'r' * 32)}\n",
        f"{LOG}/3\n7\n{notes.encode(b'r' * 31)}\n",
        f"{LOG}/3\n7\n{notes.encode(b'r' * 32)}\nmore\n",
        f"{LOG}/x\n7\n{notes.encode(b'r' * 32)}\n",
    ],
)
def test_signed_but_malformed_checkpoint_is_invalid(text):
    with pytest.raises(NoteInvalid):
        notes.open_checkpoint(str(notes.sign(text, [OLD])), [OLD[0]], verify)


def test_checkpoint_signed_by_an_unknown_key_is_invalid():
    with pytest.raises(NoteInvalid, match="no trusted key"):
        notes.open_checkpoint(str(notes.sign(CHECKPOINT.text(), [NEW])), [OLD[0]], verify)


def test_checkpoint_of_another_log_is_invalid_under_its_key():
    other = pair(b"o", "other.example/audit")

    with pytest.raises(NoteInvalid, match="no trusted key"):
        notes.open_checkpoint(str(notes.sign(CHECKPOINT.text(), [other])), [other[0]], verify)


def test_additional_unknown_signatures_are_ignored():
    text = str(notes.sign(CHECKPOINT.text(), [NEW, OLD]))

    assert notes.open_checkpoint(text, [OLD[0]], verify) == CHECKPOINT


def test_key_change_signed_by_both_keys_is_opened():
    text = str(notes.sign(CHANGE.text(), [OLD, NEW]))

    assert notes.open_key_change(text, OLD[0], verify) == CHANGE


@pytest.mark.parametrize(
    ("signers", "reason"), [([NEW], "old key has not"), ([OLD], "new key has not")]
)
def test_key_change_without_one_of_the_signatures_is_invalid(signers, reason):
    with pytest.raises(NoteInvalid, match=reason):
        notes.open_key_change(str(notes.sign(CHANGE.text(), signers)), OLD[0], verify)


def test_key_change_that_names_another_key_is_invalid():
    third = pair(b"t")
    text = KeyChange(LOG, 3, 7, b"r" * 32, third[0]).text()

    with pytest.raises(NoteInvalid, match="new key has not"):
        notes.open_key_change(str(notes.sign(text, [OLD, NEW])), OLD[0], verify)


def test_doubly_signed_checkpoint_is_not_a_key_change():
    with pytest.raises(NoteInvalid):
        notes.open_key_change(str(notes.sign(CHECKPOINT.text(), [OLD, NEW])), OLD[0], verify)


def test_proof_survives_round_trip():
    note = notes.sign(CHECKPOINT.text(), [OLD])
    proof = Proof(2, (b"a" * 32, b"b" * 32), note)

    assert Proof.parse(str(proof)) == proof
    assert str(proof).startswith("c2sp.org/tlog-proof@v1\nindex 2\n")
    assert Proof.parse(str(Proof(0, (), note))).path == ()


@pytest.mark.parametrize("cut", ["c2sp.org/tlog-proof@v1\n", "index 2\n", "\n\n"])
def test_proof_with_missing_part_is_invalid(cut):
    text = str(Proof(2, (b"a" * 32,), notes.sign(CHECKPOINT.text(), [OLD])))

    with pytest.raises(NoteInvalid):
        Proof.parse(text.replace(cut, "", 1))


def test_witness_cosignature_is_valid_for_unchanged_text():
    witness = VerificationKey("witness.example", OLD[0].public, notes.COSIGNATURE)
    time = (1700000000).to_bytes(8, "big")
    message = f"cosignature/v1\ntime 1700000000\n{CHECKPOINT.text()}".encode()
    signed = notes.Signature(witness.name, witness.id, time + OLD[1](message))
    note = notes.Note(CHECKPOINT.text(), (signed,))

    assert note.signed_by(witness, verify)
    assert not notes.Note(note.text + "x\n", (signed,)).signed_by(witness, verify)
