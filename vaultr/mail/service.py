"""Emails. Import from here, not from the modules behind it."""

from vaultr.mail.delivery_job import (
    measure,  # update the metrics of the outbox
    oldest_waiting_seconds,  # age of the oldest email that waits
)
from vaultr.mail.delivery_job import run as deliver  # send the emails that are due
from vaultr.mail.key_usage import (
    emails_under,  # number of stored emails under one MAIL_KEY
    key_beside,  # a MAIL_KEY that emails need but the settings lack
    reseal_emails,  # reseal all emails under the first MAIL_KEY
)
from vaultr.mail.message import Email  # kind, subject, text and HTML of an email
from vaultr.mail.outbox import (
    send,  # store an email in the outbox, in the current transaction
    send_all,  # the same for several addresses
)
from vaultr.mail.purge import PURGES  # expired rows that the worker deletes
from vaultr.mail.rendering import (
    compose,  # build an email from paragraphs
    quote,  # quote a name that a user chose
)
from vaultr.mail.sample_message import send_sample  # send a test email now
from vaultr.mail.sender import init_app  # configure the mail server
from vaultr.mail.transports import (
    Host,  # a connection to a mail server
    connect,  # connect to a mail server and verify its name
)
from vaultr.mail.worker_wakeup import listen  # call the worker after each stored email

__all__ = [
    "PURGES",
    "Email",
    "Host",
    "compose",
    "connect",
    "deliver",
    "emails_under",
    "init_app",
    "key_beside",
    "listen",
    "measure",
    "oldest_waiting_seconds",
    "quote",
    "reseal_emails",
    "send",
    "send_all",
    "send_sample",
]
