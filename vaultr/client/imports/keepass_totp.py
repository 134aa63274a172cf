"""One-time codes of a KeePass entry: KeePass and its plug-ins use different sets of fields."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode

_SEED: Final = "TOTP Seed"
_SETTINGS: Final = "TOTP Settings"
_OTP: Final = "otp"
_STEAM_DIGITS: Final = "S"
# Source: KeePass help, "Field references, placeholders": the fields of {TIMEOTP}.
_OPTIONS: Final = {
    "TimeOtp-Period": "period",
    "TimeOtp-Length": "digits",
    "TimeOtp-Algorithm": "algorithm",
}
_ALGORITHMS: Final = re.compile(r"HMAC-(SHA)-(1|256|512)")
# The fields of the plug-in KeeOtp, written as a query in the field "otp".
_KEE_OTP: Final = {"key": "secret", "step": "period", "size": "digits", "otpHashMode": "algorithm"}


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


_SECRETS: Final[Mapping[str, Callable[[str], str]]] = {
    "TimeOtp-Secret-Base32": lambda text: text,
    "TimeOtp-Secret": lambda text: _base32(text.encode()),
    "TimeOtp-Secret-Hex": lambda text: _base32(bytes.fromhex(text)),
    "TimeOtp-Secret-Base64": lambda text: _base32(base64.b64decode(text, validate=True)),
}


@dataclass(frozen=True, slots=True)
class Seed:
    """The secret of an entry's codes, in the form that an item stores.

    :ivar name: the field with the secret.
    :ivar fields: all fields that ``value`` contains.
    """

    name: str
    value: str = field(repr=False)
    fields: frozenset[str]


def seed_of(values: Mapping[str, str]) -> Seed | None:
    """Return the secret of an entry's codes; None if it is missing or cannot be read.

    :param values: the fields of the entry by name.
    """
    if otp := values.get(_OTP):
        return Seed(_OTP, _kee_otp(otp) or otp, frozenset({_OTP}))
    if seed := values.get(_SEED):
        return _of_plug_in(seed, values.get(_SETTINGS, ""))
    for name, read in _SECRETS.items():
        if text := values.get(name):
            try:
                secret = read(text)
            except ValueError:
                return None
            return _of_keepass(name, secret, values)
    return None


def _of_keepass(name: str, secret: str, values: Mapping[str, str]) -> Seed:
    options = {ours: values[theirs] for theirs, ours in _OPTIONS.items() if values.get(theirs)}
    if "algorithm" in options:
        options["algorithm"] = _ALGORITHMS.sub(r"\1\2", options["algorithm"])
    taken = {each for each in _OPTIONS if values.get(each)}
    value = _uri(secret, options) if options else secret
    return Seed(name, value, frozenset({name, *taken}))


def _of_plug_in(seed: str, settings: str) -> Seed:
    """Read ``TOTP Settings``: period and digits, or S for codes of Steam."""
    period, _, digits = settings.partition(";")
    digits = digits.partition(";")[0]
    taken = frozenset({_SEED, _SETTINGS})
    if digits == _STEAM_DIGITS:
        return Seed(_SEED, f"steam://{_compact(seed)}", taken)
    if period.isdecimal() and digits.isdecimal():
        return Seed(_SEED, _uri(seed, {"period": period, "digits": digits}), taken)
    return Seed(_SEED, seed, frozenset({_SEED}))


def _kee_otp(text: str) -> str | None:
    if not text.startswith("key="):
        return None
    pairs = dict(parse_qsl(text))
    options = {ours: pairs[theirs] for theirs, ours in _KEE_OTP.items() if theirs in pairs}
    return _uri(options.pop("secret", ""), options)


def _uri(secret: str, options: Mapping[str, str]) -> str:
    return "otpauth://totp/KeePass?" + urlencode({"secret": _compact(secret), **options})


def _compact(secret: str) -> str:
    return re.sub(r"[\s=-]", "", secret)
