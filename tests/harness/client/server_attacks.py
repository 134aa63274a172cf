"""Attacks of a malicious server, and helpers that inspect a device."""

import copy

from vaultr.protocol.encoding import b64, unb64


def answering(world, method, ending, change):
    """Change each 2xx response to one route."""

    def tamper(requested, path, status, body):
        if requested == method and path.endswith(ending) and status < 300 and body is not None:
            return status, change(copy.deepcopy(body))
        return status, body

    world.server.tamper = tamper


def titles(device):
    return sorted(item.title for item in device.items(offline=True))


def flipped(text):
    data = bytearray(unb64(text))
    data[40] ^= 1
    return b64(bytes(data))
