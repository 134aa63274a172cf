"""Emails: an outbox, stored in the transaction of the change, and its delivery job."""
