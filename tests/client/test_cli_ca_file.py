"""A server's private certificate authority: passed once, then stored with the account."""

import ssl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.harness.client.devices import Device
from tests.harness.client.fake_server import FakeServer
from tests.harness.tls_sites import Authority, serving
from vaultr.client.transport.deadline_transport import _tls


@pytest.fixture
def authority(tmp_path):
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return authority


@pytest.fixture
def secured(tmp_path, authority):
    """A device whose server has a certificate of a private authority."""
    with serving(FakeServer().wsgi, authority.context(tmp_path, "localhost")) as port:
        yield Device(tmp_path / "home", f"https://localhost:{port}")


def test_ca_file_option_is_stored_with_the_account(secured, tmp_path):
    secured.done("signup", "--email", secured.email, "--ca-file", str(tmp_path / "ca.pem"))

    secured.done("verify", "token0", password=None)
    secured.done("login")

    assert secured.run_json("list") == []


def test_ca_file_variable_is_used(secured, tmp_path):
    environ = [("VAULTR_CA_FILE", str(tmp_path / "ca.pem"))]

    secured.done("signup", "--email", secured.email, env=environ)


def test_missing_file_in_the_variable_is_reported(secured, tmp_path):
    message = secured.fails(2, "sync", env=[("VAULTR_CA_FILE", str(tmp_path / "none"))])

    assert "VAULTR_CA_FILE does not name a file." in message


def test_missing_stored_file_can_be_replaced(secured, tmp_path):
    file, moved = tmp_path / "ca.pem", tmp_path / "moved.pem"
    secured.done("signup", "--email", secured.email, "--ca-file", str(file))
    file.rename(moved)

    message = secured.fails(2, "verify", "token0", password=None)

    assert "Name another file: --ca-file" in message
    secured.done("verify", "token0", "--ca-file", str(moved), password=None)
    secured.done("login")


def test_plain_http_trusts_no_authority():
    context = _tls(None, plain=True)

    assert context.cert_store_stats()["x509_ca"] == 0
    assert context.verify_mode is ssl.CERT_REQUIRED
