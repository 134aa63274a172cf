import random

import pytest

from vaultr.client.run.output_masking import MASK, Mask


def through(mask, pieces):
    stream = mask.stream()
    return b"".join([*(stream.feed(piece) for piece in pieces), stream.end()])


def pieces_of(data, draw):
    cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.randrange(8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def test_secret_is_masked_at_every_position():
    mask = Mask(["hunter2"])

    assert through(mask, [b"hunter2 a hunter2hunter2"]) == MASK + b" a " + MASK
    assert through(mask, [b"hunter and 2"]) == b"hunter and 2"


@pytest.mark.parametrize("cut", range(1, 7))
def test_split_secret_is_masked(cut):
    whole = b"<hunter2>"

    assert through(Mask(["hunter2"]), [whole[:cut], whole[cut:]]) == b"<" + MASK + b">"


def test_secret_arriving_byte_by_byte_is_masked():
    assert through(Mask(["hunter2"]), [bytes([each]) for each in b"a hunter2."]) == (
        b"a " + MASK + b"."
    )


def test_only_possible_start_of_secret_is_held_back():
    stream = Mask(["hunter2"]).stream()

    assert stream.feed(b"Password: ") == b"Password: "
    assert stream.feed(b"hun") == b""
    assert stream.feed(b"ting") == b"hunting"
    assert stream.feed(b"hunt") == b""
    assert stream.end() == b"hunt"


def test_longest_of_overlapping_secrets_is_masked():
    mask = Mask(["secret", "secret-of-prod"])

    assert through(mask, [b"secret", b"-of-prod."]) == MASK + b"."
    assert through(mask, [b"secret", b"-of-dev."]) == MASK + b"-of-dev."


def test_overlapping_secrets_are_masked_together():
    mask = Mask(["abcdef", "defghi"])

    assert through(mask, [b"<abcdefghi>"]) == b"<" + MASK + b">"
    assert through(mask, [b"<abcdef", b"ghi>"]) == b"<" + MASK + b">"
    assert through(mask, [b"<abcdef", b"x>"]) == b"<" + MASK + b"x>"


def test_multiline_value_is_masked_by_line_on_terminal():
    key = "-----BEGIN KEY-----\nMIIabcdefgh\nxyz\n-----END KEY-----\n"
    mask = Mask([key])

    assert through(mask, [key.encode()]) == MASK
    assert through(mask, [key.replace("\n", "\r\n").encode()]) == MASK
    assert through(mask, [b"line 2 is MIIabcdefgh, line 3 xyz"]) == (
        b"line 2 is " + MASK + b", line 3 xyz"
    )


def test_short_value_is_not_masked():
    assert through(Mask(["1", "on", "", "abc"]), [b"1 on abc 1"]) == b"1 on abc 1"
    assert through(Mask([]), [b"1 on abc 1"]) == b"1 on abc 1"


def test_mask_hides_the_length():
    assert through(Mask(["abcd"]), [b"abcd"]) == through(Mask(["x" * 5000]), [b"x" * 5000])


def test_non_text_bytes_pass_unchanged():
    data = bytes(range(256)) * 3

    assert through(Mask(["grüße"]), [data]) == data
    assert through(Mask(["grüße"]), ["<grüße>".encode()]) == b"<" + MASK + b">"


def test_any_split_masks_secrets_and_nothing_else(count):
    draw = random.Random(11)
    for _ in range(count(1500, many=60_000)):
        secrets = [
            "".join(draw.choices("ab", k=draw.randint(4, 7))) for _ in range(draw.randint(1, 4))
        ]
        data = "".join(draw.choices("abc", k=draw.randint(0, 60))).encode()
        mask = Mask(secrets)

        shown = through(mask, pieces_of(data, draw))

        assert shown == through(mask, [data])
        assert not any(secret.encode() in shown for secret in secrets)
        # Output without secrets is complete and in order.
        covered = [False] * len(data)
        for secret in secrets:
            for at in range(len(data)):
                if data.startswith(secret.encode(), at):
                    covered[at : at + len(secret)] = [True] * len(secret)
        assert shown.replace(MASK, b"") == bytes(
            each for each, hidden in zip(data, covered, strict=True) if not hidden
        )


def test_much_output_with_many_secrets_passes_in_reasonable_time():
    mask = Mask([f"secret-number-{number:05d}" for number in range(200)])
    line = b"2026-11-25 10:00:00 INFO something happened; secret is not here 12345\n" * 1000

    assert through(mask, [line] * 20) == line * 20


@pytest.mark.parametrize("value", ["hunter2\n", "hunter2\r\n", " hunter2", "hunter2\n\n"])
def test_value_is_masked_without_surrounding_blanks(value):
    # A shell removes the newline, and many programs the blanks.
    assert through(Mask([value]), [b"password=hunter2; done"]) == b"password=" + MASK + b"; done"
