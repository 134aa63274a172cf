"""Real anchors: a witness, an S3 server and a syslog receiver."""

import base64
import contextlib
import http.server
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.harness.consistency_proofs import consistency_holds
from vaultr.audit import signing
from vaultr.protocol import notes
from vaultr.protocol.notes import COSIGNATURE, VerificationKey

START_SECONDS = 60
WITNESS = "witness.example/one"


@contextlib.contextmanager
def program(command, url, **more):
    """Run a program until the block ends; it is ready when ``url`` responds."""
    process = subprocess.Popen([str(each) for each in command], **more)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            assert process.poll() is None, f"{command[0]} has ended"
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


class Witness(http.server.ThreadingHTTPServer):
    """A witness after C2SP tlog-witness; the second implementation checks consistency proofs.

    :ivar logs: the verification key of each log that it knows, by origin.
    :ivar seen: the last checkpoint that it cosigned, as (size, root), by origin.
    """

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), _Submission)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.logs, self.seen, self.requests = {}, {}, []
        self._private = Ed25519PrivateKey.generate()
        public = self._private.public_key().public_bytes_raw()
        self.key = VerificationKey(WITNESS, public, COSIGNATURE)
        site = "http://127.0.0.1" if tls is None else "https://localhost"
        self.url = f"witness+{site}:{self.server_port}"

    def add(self, origin, vkey):
        """Add the log, as `flask audit status` asks the witness's operator to do."""
        self.logs[origin] = VerificationKey.parse(vkey)

    def submit(self, body):
        """Respond to a submission: return status and body."""
        head, _, note = body.partition("\n\n")
        first, *proof = head.split("\n")
        old = int(first.removeprefix("old "))
        origin, size, root = note.split("\n")[:3]
        size, root = int(size), base64.b64decode(root)
        known = self.logs.get(origin)
        if known is None:
            return 404, ""
        if not notes.parse(note).signed_by(known, signing.verify):
            return 403, ""
        seen, seen_root = self.seen.get(origin, (0, b""))
        if old > size:
            return 400, ""
        if old != seen or (old == size and root != seen_root):
            return 409, f"{seen}\n"
        path = [base64.b64decode(one) for one in proof]
        if path if old in (0, size) else not consistency_holds(old, size, seen_root, root, path):
            return 422, ""
        self.seen[origin] = (size, root)
        return 200, self._cosigned(note.rpartition("\n\n")[0])

    def _cosigned(self, text):
        moment = int(time.time())
        signed = self._private.sign(f"cosignature/v1\ntime {moment}\n{text}\n".encode())
        value = base64.b64encode(self.key.id + moment.to_bytes(8, "big") + signed).decode()
        return f"\u2014 {WITNESS} {value}\n"


class _Submission(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status, answer = self.server.submit(body)
        self.server.requests.append((self.path, status))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        """Write no log."""


@contextlib.contextmanager
def witness(tls=None):
    """Run a witness in a thread; over TLS by this context, which names localhost."""
    with Witness(tls) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def s3_server(command, port):
    """Run an S3 server, and return its URL."""
    url = f"http://127.0.0.1:{port}"
    with program(command, url, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        yield url


def moto(port):
    """Return the command of moto's server, which `deploy/tools/install` installs."""
    place = Path(".tools/bin/moto_server")
    return [place if place.exists() else "moto_server", "-H", "127.0.0.1", "-p", str(port)]
