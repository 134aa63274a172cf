"""The client address of a request behind proxies that are known by their networks."""

import ipaddress

import pytest

from vaultr.api.trusted_networks import TrustedNetworks
from vaultr.settings.types import TrustedProxies

NETWORKS = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "fd00::/8")))


def seen(peer, forwarded=None, proto=None):
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    environ |= {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    environ |= {} if proto is None else {"HTTP_X_FORWARDED_PROTO": proto}
    TrustedNetworks(lambda environ, _: [], NETWORKS)(environ, None)
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.2.3.4", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9, 10.2.3.4", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "10.9.9.9", "10.9.9.9"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("192.0.2.7", "203.0.113.9", "192.0.2.7"),
        ("", "203.0.113.9", ""),
    ],
)
def test_client_is_the_last_address_outside_of_the_networks(peer, forwarded, client):
    assert seen(peer, forwarded)[0] == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "proto", "scheme"),
    [
        ("10.0.0.1", "203.0.113.9", "https", "https"),
        ("10.0.0.1", "203.0.113.9, 10.2.3.4", "https, http", "https"),
        ("10.0.0.1", "203.0.113.9", "https, http", "http"),
        ("192.0.2.7", "203.0.113.9", "https", "http"),
    ],
)
def test_scheme_counts_from_trusted_proxies_only(peer, forwarded, proto, scheme):
    assert seen(peer, forwarded, proto)[1] == scheme


@pytest.mark.parametrize("text", ["10.0.0.0/8,fd00::/8", "10.0.0.0/8, fd00::/8"])
def test_setting_accepts_networks(text):
    assert TrustedProxies.parse(text).networks == NETWORKS
    assert str(TrustedProxies.parse(text)) == "10.0.0.0/8,fd00::/8"


def test_setting_accepts_a_hop_count():
    assert (TrustedProxies.parse("2").hops, bool(TrustedProxies.parse("0"))) == (2, False)
