"""A letter to an operator, sent at once: shows whether mails can leave this server at all."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from uuid6 import uuid7

from vaultr.errors import Unprocessable
from vaultr.mail import delivery_job, sender
from vaultr.mail.rendering import written
from vaultr.settings.model import current_settings

_ADVICE: Final = {
    "no-server": "No mail server that proves its name answers: look at SMTP_HOST, SMTP_PORT, "
    "SMTP_SECURE and SMTP_CA_FILE.",
    "smtp-535": "The mail server refuses the name or the password: look at SMTP_USER and "
    "SMTP_PASS.",
    delivery_job.UNKNOWN: "The connection broke after the message was sent. "
    "The mail server may have accepted it.",
}


class NoAddress(Unprocessable):
    """This is no mail address."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a try: accepted, or a word for why not; and a sentence for the operator."""

    accepted: bool
    advice: str
    reason: str | None = None


def send_test(to: str) -> Outcome:
    """Send a test letter.

    :raises NoAddress: ``to`` is none.
    """
    if "@" not in to or any(one.isspace() for one in to):
        raise NoAddress
    settings = current_settings()
    letter = written(
        "test",
        "A test of Vaultr's mails",
        f"This is a test from {urlsplit(settings.base_url).netloc}. Mails of this server arrive.",
        "Links in its letters begin with:",
        settings.base_url,
    )
    try:
        with delivery_job.told():
            sender.send(letter, to=to, with_id=sender.message_id(uuid7()))
    except delivery_job.NotSent as error:
        usual = f"The mail server refuses it with {error.reason.removeprefix('smtp-')}."
        return Outcome(accepted=False, reason=error.reason, advice=_ADVICE.get(error.reason, usual))
    if not settings.smtp_host:
        folder = settings.vaultr_home / "mail"
        return Outcome(accepted=True, advice=f"Without SMTP_HOST it is a file, in {folder}.")
    return Outcome(accepted=True, advice="The mail server has accepted it.")
