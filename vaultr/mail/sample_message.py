"""A test email to an operator, sent immediately."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from uuid6 import uuid7

from vaultr.errors import Unprocessable
from vaultr.mail import delivery_job, sender
from vaultr.mail.rendering import compose
from vaultr.settings.model import current_settings

_ADVICE: Final = {
    "no-server": "No mail server with a valid certificate answered. Check SMTP_HOST, SMTP_PORT, "
    "SMTP_SECURE and SMTP_CA_FILE, or run `flask doctor`.",
    "smtp-535": "The mail server rejected the user name or password. Check SMTP_USER and "
    "SMTP_PASS.",
    delivery_job.UNKNOWN: "The connection broke after the message was sent. "
    "The mail server may have accepted it: look into the mailbox before you try again.",
}


class InvalidAddress(Unprocessable):
    """This is not an email address. Use one such as you@example.org."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a test: whether it was accepted, a reason if not, and advice."""

    accepted: bool
    advice: str
    reason: str | None = None


def send_sample(to: str) -> Outcome:
    """Send a test email.

    :raises InvalidAddress: ``to`` is not an address.
    """
    if "@" not in to or any(character.isspace() for character in to):
        raise InvalidAddress
    settings = current_settings()
    email = compose(
        "test",
        "Vaultr test email",
        f"This is a test from {urlsplit(settings.base_url).netloc}. Emails of this server arrive.",
        "Links in its emails begin with:",
        settings.base_url,
    )
    try:
        with delivery_job.classify_errors():
            sender.send(email, to=to, with_id=sender.message_id(uuid7()))
    except delivery_job.NotSent as error:
        default = (
            f"The mail server rejected the email with {error.reason.removeprefix('smtp-')}. Look up"
            " this code in the log of the mail server."
        )
        return Outcome(
            accepted=False, reason=error.reason, advice=_ADVICE.get(error.reason, default)
        )
    if not settings.smtp_host:
        folder = settings.vaultr_home / "mail"
        return Outcome(
            accepted=True, advice=f"SMTP_HOST is not set; the email is a file in {folder}."
        )
    return Outcome(accepted=True, advice="The mail server accepted the email.")
