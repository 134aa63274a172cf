"""Owners at a real server, each with an account and a first device."""

from tests.harness.client.devices import Device
from tests.harness.client.mailbox import link, mailed


def owner(site, folder, email, *, url=None, **more):
    """Sign up and log in; return the first device, whose ``made`` is the response to the signup."""
    device = Device(folder / "first", url or site.url, email=email, **more)
    device.made = device.run_json("signup", "--email", email)
    device.done("verify", mailed(site, email, link("/verify-email"))[-1], password=None)
    device.done("login")
    device.done("sync")
    return device


def second(site, folder, first, *, url=None, **more):
    """Log in on another device of the owner."""
    device = Device(folder / "second", url or site.url, email=first.email, password=first.password)
    device.done("login", "--email", first.email, secret_key=first.made["secret_key"], **more)
    device.done("sync")
    return device
