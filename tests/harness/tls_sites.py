"""TLS sites on this machine, by host name, with certificates from a test CA."""

import contextlib
import ssl
import threading
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from werkzeug.serving import WSGIRequestHandler, make_server


class Authority:
    """Signs certificates; a browser that gets its public key trusts them."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _signed(self.key, "Test authority", self.key, "Test authority", ca=True)

    def public_key(self):
        return self.key.public_key()

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def context(self, folder, *names):
        """Return the TLS context of a server with these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        chain = [_signed(key, names[0], self.key, "Test authority", names=names), self.certificate]
        files = folder / f"{names[0]}.crt", folder / f"{names[0]}.key"
        pem = serialization.Encoding.PEM
        files[0].write_bytes(b"".join(one.public_bytes(pem) for one in chain))
        form, lock = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        files[1].write_bytes(key.private_bytes(pem, form, lock))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        return context


class _Quiet(WSGIRequestHandler):
    """Does not log connections that a browser opened early and closed again."""

    def log(self, *arguments):
        pass

    def connection_dropped(self, error, environ=None):
        pass


@contextlib.contextmanager
def serving(app, context, *, port=0):
    """Serve a WSGI app over TLS on a free port; yield the port."""
    server = make_server(
        "127.0.0.1", port, app, threaded=True, request_handler=_Quiet, ssl_context=context
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(_environ, start_response):
    """Return an empty page without security headers for any request."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [b"<!doctype html><html lang=en><title>page</title><body></body></html>"]


def _signed(key, name, by, by_name, *, names=(), ca=False):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by_name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
    )
    if names:
        text = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        builder = builder.add_extension(text, False)
    return builder.sign(by, hashes.SHA256())
