import pytest

from tests.harness.client.tls_server import certificate, serving
from vaultr.client.errors import ServerUnreachable
from vaultr.client.transport.http_transport import Transport


@pytest.mark.parametrize("wrong", ["unknown", "another host's", "ended"])
def test_invalid_certificate_gets_no_request(tmp_path, wrong):
    host = "127.0.0.2" if wrong == "another host's" else "127.0.0.1"
    files = certificate(tmp_path, host=host, ended=wrong == "ended")
    trusted = None if wrong == "unknown" else files[0]

    with serving(files) as (url, received):
        transport = Transport(url, ca_file=trusted)
        with pytest.raises(ServerUnreachable, match=r"(?i)certificate"):
            transport.send("POST", "/auth/login", {"auth_key": "secret"})
        transport.close()

    assert received == []


def test_private_ca_file_is_trusted(tmp_path):
    files = certificate(tmp_path)

    with serving(files) as (url, _):
        transport = Transport(url, ca_file=files[0])
        assert transport.send("GET", "/x").body == {}
        transport.close()


def test_ssl_cert_file_variable_is_ignored(tmp_path, monkeypatch):
    files = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))

    with serving(files) as (url, received):
        transport = Transport(url)
        with pytest.raises(ServerUnreachable):
            transport.send("POST", "/x", {})
        transport.close()

    assert received == []
