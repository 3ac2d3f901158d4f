"""A server on loopback that hands out a bundle, or whatever else a test tells it to; also with TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HERE = "127.0.0.1"
Answer = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    """One request; `reply` answers it. `server.done` is set when the test is over."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self.server.asked.append(self)
        self.server.answer(self)

    def reply(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def drip(self, content: bytes) -> None:
        """One byte at a time, for as long as the client listens and the test runs."""
        for byte in content:
            if self.server.done.wait(0.02):
                return
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """What it `asked`, and how it answers: both may change while it runs."""

    daemon_threads = True
    answer: Answer
    asked: list[Asked]
    url: str

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client hung up, as it should

    def serve(self, content: bytes, *, tag: bool = True) -> None:
        """From now on these bytes, with an entity tag and answers to whoever has it."""
        etag = f'"{hash(content) & 0xFFFFFFFF:x}"'

        def answer(asked: Asked) -> None:
            if tag and asked.headers.get("if-none-match") == etag:
                asked.reply(b"", 304, ETag=etag)
            else:
                asked.reply(content, **({"ETag": etag} if tag else {}))

        self.answer = answer

    @property
    def tags(self) -> list[str | None]:
        """The tags that were asked with, in order."""
        return [asked.headers.get("if-none-match") for asked in self.asked]


@contextmanager
def serving(answer: Answer | None = None, *, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server((_HERE, 0), Asked)
    server.asked, server.answer = [], answer or (lambda asked: asked.reply(b"", 404))
    server.done = threading.Event()  # type: ignore[attr-defined]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    server.url = f"http{'s' if tls else ''}://{_HERE}:{port}/policies.bundle"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.done.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join(60)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS with a certificate of its own making, and the file by which to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _HERE)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address(_HERE))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "server.pem", folder / "server.key"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, private)
    return context, cert
