"""The generate command: passwords and passphrases."""

from typing import Final

import click

from vaultr.client.background import memory_protection
from vaultr.client.cli import output
from vaultr.client.cli.commands.copy_secret import copied
from vaultr.client.cli.options import Choices, command, pass_choices
from vaultr.client.errors import UsageError
from vaultr.client.items import generator, site_rules
from vaultr.client.items.generator import PasswordRule, PhraseRule

_MOST: Final = 1000


@command(
    "generate",
    "vaultr generate",
    "vaultr generate --length 32 --no-symbols",
    "vaultr generate --words 6 --separator ' '",
    "vaultr generate --pin 6",
)
@click.option("--length", type=int, metavar="N", help="How many characters; else 20.")
@click.option("--no-lower", is_flag=True, help="No small letters.")
@click.option("--no-upper", is_flag=True, help="No capital letters.")
@click.option("--no-digits", is_flag=True, help="No digits.")
@click.option("--no-symbols", is_flag=True, help="No symbols.")
@click.option("--symbols", metavar="SYMBOLS", help="These symbols, in place of the usual ones.")
@click.option("--unlike", is_flag=True, help="Nothing that is read for something else, as O and 0.")
@click.option("--pin", type=int, metavar="N", help="N digits and nothing else.")
@click.option("--words", type=int, metavar="N", help="A passphrase of N words.")
@click.option("--separator", metavar="TEXT", help="What stands between its words; else -.")
@click.option("--capitals", is_flag=True, help="Its words begin with capitals.")
@click.option("--number", is_flag=True, help="One of its words is followed by a digit.")
@click.option("--rule", metavar="RULE", help="Rule of the site: 'length 12-20; upper; digit'")
@click.option("--strength", is_flag=True, help="Show how hard the password is to guess")
@click.option(
    "--count",
    type=click.IntRange(1, _MOST),
    default=1,
    metavar="N",
    help="So many, one a line.",
)
@click.option("--copy", is_flag=True, help="Put it on the clipboard, and do not print it.")
@pass_choices
def generate(choices: Choices, /, count: int, copy: bool, strength: bool, **said: object) -> None:
    """Draw a password, or a passphrase.

    Each that fits what was asked for is equally likely. A password has at least one character of
    each kind. Nothing is kept and no server is asked.
    """
    if copy and count > 1:
        raise UsageError("The clipboard takes one: --copy and --count contradict each other.")
    memory_protection.guard()
    rule = _rule(said)
    if isinstance(rule, PhraseRule):
        drawn = [generator.passphrase(rule) for _ in range(count)]
        bits = generator.phrase_bits(rule)
    else:
        drawn = [generator.password(rule) for _ in range(count)]
        bits = generator.password_bits(rule)
    if copy:
        copied(choices, drawn[0], clear_after=None)
        return
    score = _score(drawn) if strength else {}
    if choices.json:
        each = [{"value": value, "bits": round(bits, 1), **score} for value in drawn]
        output.as_json(each[0] if count == 1 else each)
        return
    for value in drawn:
        output.exactly(value)
    if strength:
        output.tell(f"{bits:.0f} bits of entropy; strength {score['strength']} of 4 (zxcvbn).")
    elif output.is_terminal():
        output.tell(f"{bits:.0f} bits: so hard it is to guess for one who knows how it was made.")


def _score(passwords: list[str]) -> dict[str, int]:
    """Return the strength of the weakest, as a guesser sees it who does not know the rule."""
    # zxcvbn reads its word lists, which no other option needs.
    from vaultr.client.account.password_policy import password_strength  # noqa: PLC0415 - would slow others

    return {"strength": min(password_strength(each).score for each in passwords)}


def _rule(said: dict[str, object]) -> PasswordRule | PhraseRule:
    phrase = _said(said, "words", "separator", "capitals", "number")
    plain = _said(said, "length", "no_lower", "no_upper", "no_digits", "no_symbols", "symbols")
    plain += _said(said, "unlike")
    if said["rule"] is not None:
        if phrase or plain or said["pin"] is not None:
            raise UsageError("--rule says all of a password: no other option goes with it.")
        return site_rules.parse(str(said["rule"]))
    if said["pin"] is not None:
        if phrase or plain:
            raise UsageError(f"--pin goes with no {_option((phrase + plain)[0])}.")
        return PasswordRule(length=_int(said["pin"]), lower=False, upper=False, symbols="")
    if phrase:
        if plain:
            raise UsageError(f"{_option(plain[0])} is not for a passphrase.")
        return PhraseRule(
            words=6 if said["words"] is None else _int(said["words"]),
            separator="-" if said["separator"] is None else str(said["separator"]),
            capitals=bool(said["capitals"]),
            number=bool(said["number"]),
        )
    if said["no_symbols"] and said["symbols"] is not None:
        raise UsageError("--symbols and --no-symbols contradict each other.")
    symbols = generator.SYMBOLS if said["symbols"] is None else str(said["symbols"])
    return PasswordRule(
        length=20 if said["length"] is None else _int(said["length"]),
        lower=not said["no_lower"],
        upper=not said["no_upper"],
        digits=not said["no_digits"],
        symbols="" if said["no_symbols"] else symbols,
        unlike=bool(said["unlike"]),
    )


def _said(said: dict[str, object], *names: str) -> list[str]:
    return [name for name in names if said[name] not in (None, False)]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value
