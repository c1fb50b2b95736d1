"""An OpenID Connect issuer of the tests' own: real keys, discovery and keys over loopback HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


class TestIssuer:
    """Signs tokens; ``keys`` are published, by key id."""

    __test__ = False

    def __init__(self) -> None:
        self.keys: dict[str, tuple[Any, str]] = {}
        self.requests: list[str] = []
        self.status = 200
        self.claims_to_be: str | None = None
        self.url = ""

    def rotate(self, kid: str, algorithm: str = "ES256", *, keep: bool = False) -> None:
        """A new key, instead of those before."""
        if not keep:
            self.keys.clear()
        key: Any
        if algorithm.startswith(("RS", "PS")):
            key = rsa.generate_private_key(65537, 2048)
        elif algorithm == "EdDSA":
            key = ed25519.Ed25519PrivateKey.generate()
        else:
            key = ec.generate_private_key(ec.SECP256R1())
        self.keys[kid] = key, algorithm

    def token(self, kid: str | None = None, **claims: Any) -> str:
        """A token that is valid for ten minutes, but for what ``claims`` say; None leaves out."""
        kid = kid or list(self.keys)[-1]
        key, algorithm = self.keys[kid]
        now = int(time.time())
        given = {"iss": self.url, "aud": "guanxi", "sub": "ada", "iat": now, "exp": now + 600}
        given |= claims
        given = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(given, key, algorithm, headers={"kid": kid})

    def jwks(self) -> dict[str, Any]:
        """What the issuer publishes."""
        return {"keys": [self._public(kid, *pair) for kid, pair in self.keys.items()]}

    @staticmethod
    def _public(kid: str, key: Any, algorithm: str) -> dict[str, Any]:
        made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
        return {**made, "kid": kid, "use": "sig"}

    def answer(self, path: str) -> tuple[int, Any]:
        self.requests.append(path)
        if path == "/.well-known/openid-configuration":
            name = self.claims_to_be or self.url
            return self.status, {"issuer": name, "jwks_uri": f"{self.url}/keys"}
        return (self.status, self.jwks()) if path == "/keys" else (404, {})


@contextmanager
def issuing() -> Iterator[TestIssuer]:
    """Serve an issuer with one key, called ``first``."""
    issuer = TestIssuer()
    issuer.rotate("first")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = issuer.answer(self.path)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
