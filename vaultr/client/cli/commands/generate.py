"""The command `vaultr generate`, which prints random passwords and passphrases."""

from typing import Final

import click

from vaultr.client.background import memory_protection
from vaultr.client.cli import output
from vaultr.client.cli.commands.copy_secret import copy_text
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.errors import UsageError
from vaultr.client.items import generator, site_rules
from vaultr.client.items.generator import PasswordRule, PhraseRule

_MAX_COUNT: Final = 1000
_DEFAULT_LENGTH: Final = 20
_DEFAULT_WORDS: Final = 6


@command(
    "generate",
    "vaultr generate",
    "vaultr generate --length 32 --no-symbols",
    "vaultr generate --words 6 --separator ' '",
    "vaultr generate --pin 6",
)
@click.option("--length", type=int, metavar="N", help="Number of characters (default: 20)")
@click.option("--no-lower", is_flag=True, help="No lowercase letters")
@click.option("--no-upper", is_flag=True, help="No uppercase letters")
@click.option("--no-digits", is_flag=True, help="No digits")
@click.option("--no-symbols", is_flag=True, help="No symbols")
@click.option("--symbols", metavar="SYMBOLS", help="Symbols to use instead of the default ones")
@click.option("--unlike", is_flag=True, help="No characters that look alike, such as O and 0")
@click.option("--pin", type=int, metavar="N", help="PIN of N digits")
@click.option("--words", type=int, metavar="N", help="Passphrase of N words")
@click.option("--separator", metavar="TEXT", help="Text between words (default: -)")
@click.option("--capitals", is_flag=True, help="Capitalise the words")
@click.option("--number", is_flag=True, help="Add a digit to one word")
@click.option("--rule", metavar="RULE", help="Rule of the site: 'length 12-20; upper; digit'")
@click.option("--strength", is_flag=True, help="Show how hard the password is to guess")
@click.option(
    "--count",
    type=click.IntRange(1, _MAX_COUNT),
    default=1,
    metavar="N",
    help="How many to print, one per line",
)
@click.option("--copy", is_flag=True, help="Copy it to the clipboard; do not print it")
@pass_options
def generate(
    options: GlobalOptions, /, count: int, copy: bool, strength: bool, **settings: object
) -> None:
    """Generate a password, passphrase or PIN.

    Every result that fits the options is equally likely. A password has at least one character of
    each kind. Nothing is stored, and the server is not contacted.
    """
    if copy and count > 1:
        raise UsageError("--copy copies one value. Do not combine it with --count.")
    memory_protection.guard()
    rule = _rule(settings)
    if isinstance(rule, PhraseRule):
        values = [generator.passphrase(rule) for _ in range(count)]
        bits = generator.phrase_bits(rule)
    else:
        values = [generator.password(rule) for _ in range(count)]
        bits = generator.password_bits(rule)
    if copy:
        copy_text(options, values[0], clear_after=None)
        return
    score = _score(values) if strength else {}
    if options.json:
        documents = [{"value": value, "bits": round(bits, 1), **score} for value in values]
        output.print_json(documents[0] if count == 1 else documents)
        return
    for value in values:
        output.print_value(value)
    if strength:
        output.print_note(
            f"{bits:.0f} bits of entropy; strength {score['strength']} of 4 (zxcvbn)."
        )
    elif output.is_terminal():
        output.print_note(f"Entropy: {bits:.0f} bits")


def _score(passwords: list[str]) -> dict[str, int]:
    """Return the strength of the weakest one, for a guesser who does not know the rule."""
    # zxcvbn loads its word lists, which no other option needs.
    from vaultr.client.account.password_policy import password_strength  # noqa: PLC0415 - would slow others

    return {"strength": min(password_strength(each).score for each in passwords)}


def _rule(settings: dict[str, object]) -> PasswordRule | PhraseRule:
    for_phrase = _used(settings, "words", "separator", "capitals", "number")
    for_password = _used(
        settings,
        *("length", "no_lower", "no_upper", "no_digits", "no_symbols", "symbols", "unlike"),
    )
    if settings["rule"] is not None:
        if for_phrase or for_password or settings["pin"] is not None:
            raise UsageError("--rule describes the whole password. Use it alone.")
        return site_rules.parse(str(settings["rule"]))
    if settings["pin"] is not None:
        if for_phrase or for_password:
            raise UsageError(
                f"Use either --pin or {_option((for_phrase + for_password)[0])}, not both."
            )
        return PasswordRule(length=_int(settings["pin"]), lower=False, upper=False, symbols="")
    if for_phrase:
        if for_password:
            raise UsageError(
                f"{_option(for_password[0])} is for passwords, {_option(for_phrase[0])} for"
                " passphrases. Use one of them."
            )
        return PhraseRule(
            words=_DEFAULT_WORDS if settings["words"] is None else _int(settings["words"]),
            separator="-" if settings["separator"] is None else str(settings["separator"]),
            capitals=bool(settings["capitals"]),
            number=bool(settings["number"]),
        )
    if settings["no_symbols"] and settings["symbols"] is not None:
        raise UsageError("Use either --symbols or --no-symbols, not both.")
    symbols = generator.SYMBOLS if settings["symbols"] is None else str(settings["symbols"])
    return PasswordRule(
        length=_DEFAULT_LENGTH if settings["length"] is None else _int(settings["length"]),
        lower=not settings["no_lower"],
        upper=not settings["no_upper"],
        digits=not settings["no_digits"],
        symbols="" if settings["no_symbols"] else symbols,
        unlike=bool(settings["unlike"]),
    )


def _used(settings: dict[str, object], *names: str) -> list[str]:
    # 0 == False, but --words 0 is an option that was used, and it is an error.
    return [name for name in names if settings[name] is not None and settings[name] is not False]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value
