"""Requests that no well-behaved client would send, made from a schema by chance."""

import json
import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_required_argument,
)

#: Texts that something on the way from a client to a table may stumble over.
TEXTS: Final = (
    "", " ", "x", "\0", "a\0b", "\ud800", "a\udfffb", "\ufeff", "\u2028", "\u202eabc", "\uffff",
    "💥", "é" * 300, "A" * 5000, "NaN", "Infinity", "1e999", "-1", "0", "null", "true", "[]", "{}",
    "\\", "\\u0000", "%", "_", '"', "'", "`", "$x", ":name", "{0}", "%s", "../../x", "\r\nx: y",
    "2024-02-30", "0000-00-00", "9999-12-31", "2024-01-01T00:00:00", "9999-12-31T23:59:59-23:59",
    "infinity", "now", "customer_", "customer_x", "WzEsMl0", "W251bGwsIngiXQ", "====", "eyJ9",
)  # fmt: skip
NUMBERS: Final = (
    0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, 2**64, 10**400, 1.5, -0.0, 5e-324,
    1e308, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
#: What is put into the bytes of a request somewhere.
BYTES: Final = (
    b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xef\xbb\xbf", b"NaN",
    b"1e999", b"-", b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"]", b",", b"/**/", b"\n",
)  # fmt: skip
_FINE: Final = {
    "Int": (1, 2, 3), "Float": (1.5,), "Boolean": (True, False),
    "String": ("fine", "fine too", "fine again", "fine as well"),
    "Date": ("2024-01-01",), "DateTime": ("2024-01-01T00:00:00+00:00",), "Decimal": ("1.50",),
}  # fmt: skip
_HEADERS: Final = ("accept", "accept-language", "idempotency-key", "guanxi-reason", "x-thing")


class Sent(NamedTuple):
    """One request."""

    method: str
    query_string: str
    headers: dict[bytes, bytes]
    body: bytes

    async def to(self, endpoint: Any) -> "Got":
        """The answer of an ASGI application."""
        messages: list[Any] = []
        scope = {
            "type": "http", "method": self.method, "path": "/graphql", "client": ("192.0.2.7", 1),
            "query_string": self.query_string.encode(), "headers": list(self.headers.items()),
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": self.body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await endpoint(scope, receive, send)
        first, *rest = messages
        return Got(
            first["status"], dict(first["headers"]), b"".join(m.get("body", b"") for m in rest)
        )


class Got(NamedTuple):
    """One answer."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Maker:
    """Makes requests for one schema; ``ids`` are of rows that exist.

    What it makes is wrong in places, unless it is not ``hostile``.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        ids: Sequence[str],
        choose: random.Random,
        *,
        hostile: bool = True,
    ) -> None:
        self._hostile = hostile
        self._schema = schema
        self._ids = ids
        self._choose = choose
        self._variables: dict[str, tuple[str, Any]] = {}

    def request(self, token: str, kind: str | None = None) -> Sent:
        """One request with a valid token, of a query or of a mutation."""
        kind = kind or ("query" if self._often(0.6) else "mutation")
        document = self.document(kind)
        variables = {name: value for name, (_, value) in self._variables.items()}
        headers = {b"authorization": b"Bearer " + token.encode()}
        for name in _HEADERS:
            if self._wrong(0.1):
                if name == "accept" and self._often(0.8):
                    continue
                text = self._choose.choice(TEXTS).encode("utf-8", "surrogatepass")
                headers[name.encode()] = text.replace(b"\r\n", b"")[:2000]
        if kind == "query" and self._often(0.1):
            given = quote(json.dumps(variables), errors="surrogatepass")
            text = quote(document.encode("utf-8", "surrogatepass"))
            return Sent("GET", f"query={text}&variables={given}", headers, b"")
        headers[b"content-type"] = b"application/json"
        return Sent("POST", "", headers, self._spoilt(json.dumps(self._body(document)).encode()))

    def frames(self, token: str) -> list[bytes]:
        """What is sent over one WebSocket: who it is, and an operation."""
        payload: Any = {"Authorization": f"Bearer {token}"}
        if self._wrong(0.2):
            payload[self._choose.choice(["Authorization", "Guanxi-Reason", "Accept-Language"])] = (
                self._anything()
            )
        body = self._body(self.document("subscription" if self._often(0.7) else "query"))
        first = {"type": "connection_init", "payload": payload}
        second = {"id": "1", "type": "subscribe", "payload": body}
        for message in (first, second):
            if self._wrong(0.05):
                message[self._choose.choice(["id", "type", "payload"])] = self._anything()
        return [self._spoilt(json.dumps(message).encode()) for message in (first, second)]

    def _body(self, document: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "query": document,
            "variables": {name: value for name, (_, value) in self._variables.items()},
        }
        if self._wrong(0.1):
            body[self._choose.choice(["operationName", "extensions", "variables", "query"])] = (
                self._anything()
            )
        if self._wrong(0.05):
            named = self._choose.choice([self._anything(), "0" * 64, "F" * 63 + "g"])
            given = {"version": self._choose.choice([1, self._anything()]), "sha256Hash": named}
            if self._often(0.7):
                body.pop("query", None)
            if self._often(0.3):
                body["documentId"] = named
            body["extensions"] = {"persistedQuery": self._choose.choice([given, named])}
        return body

    def document(self, kind: str) -> str:
        """An operation with a root field or two, and hostile values here and there."""
        self._variables = {}
        root = getattr(self._schema, f"{kind}_type")
        fields = sorted(root.fields.items())
        many = [1, 1, 1, 2, 3] if kind != "subscription" else [1]
        chosen = [self._choose.choice(fields) for _ in range(self._choose.choice(many))]
        inner = " ".join(
            f"f{n}: {name}{self._arguments(field)}{self._selection(field.type, 3)}"
            for n, (name, field) in enumerate(chosen)
        )
        declared = ", ".join(f"${name}: {kind}" for name, (kind, _) in self._variables.items())
        text = f"{kind} Q{f'({declared})' if declared else ''} {{ {inner} }}"
        if self._wrong(0.05):
            at = self._choose.randrange(len(text))
            text = (
                text[:at]
                + self._choose.choice(TEXTS)[:50]
                + text[at + self._choose.choice([0, 1]) :]
            )
        return text

    def _arguments(self, field: GraphQLField) -> str:
        given = []
        for name, argument in sorted(field.args.items()):
            if not (is_required_argument(argument) or self._often(0.4)):
                continue
            value = self.value(argument.type, 4)
            if self._often(0.5):
                variable = f"v{len(self._variables)}"
                self._variables[variable] = (str(argument.type), value)
                given.append(f"{name}: ${variable}")
            else:
                given.append(f"{name}: {self._literal(argument.type, value)}")
        return f"({', '.join(given)})" if given else ""

    def _selection(self, kind: Any, depth: int) -> str:
        named = get_named_type(kind)
        if not is_composite_type(named):
            return ""
        fields = getattr(named, "fields", {})
        parts = ["__typename"]
        for name, field in sorted(fields.items()):
            nested = is_composite_type(get_named_type(field.type))
            if (nested and not depth) or any(map(is_required_argument, field.args.values())):
                continue
            structural = name in ("edges", "node", "errors", "id", "cursor") or depth == 3
            if self._often(0.9 if structural else 0.1 if nested else 0.25):
                parts.append(
                    f"{name}{self._arguments(field)}{self._selection(field.type, depth - 1)}"
                )
        return f" {{ {' '.join(parts)} }}"

    def value(self, kind: Any, depth: int) -> Any:
        """A value for a type, often one that fits."""
        if self._wrong(0.08):
            return self._anything()
        if isinstance(kind, GraphQLNonNull):
            return self.value(kind.of_type, depth)
        if self._wrong(0.05):
            return None
        if isinstance(kind, GraphQLList):
            count = self._choose.choice([0, 1, 1, 2, 3, 3, 400])
            first = [self.value(kind.of_type, depth - 1) for _ in range(min(count, 3))]
            return (first * count)[:count] if first else []
        if isinstance(kind, GraphQLEnumType):
            return self._choose.choice(sorted(kind.values))
        if isinstance(kind, GraphQLInputObjectType):
            found = {}
            for name, field in sorted(kind.fields.items()):
                required = isinstance(field.type, GraphQLNonNull)
                if required or (depth > 0 and self._often(0.15)):
                    found[name] = self.value(field.type, depth - 1)
            if self._wrong(0.03):
                found[self._choose.choice(["nothing", "", "__proto__", "id"])] = self._anything()
            return found
        if kind.name == "ID":
            return self._choose.choice([*self._ids, *self._ids, "customer_x"])
        if kind.name in ("String", "Int", "Float") and self._wrong(0.4):
            return self._choose.choice(TEXTS if kind.name == "String" else NUMBERS)
        return self._choose.choice(_FINE.get(kind.name, TEXTS))

    def _anything(self) -> Any:
        choose = self._choose
        kind = choose.randrange(7)
        if kind < 2:
            return choose.choice(TEXTS)
        if kind < 4:
            return choose.choice(NUMBERS)
        if kind == 4:
            return choose.choice([None, True, [], {}, [None], [[]], {"eq": None}, [{}]])
        if kind == 5:
            return [choose.choice(TEXTS), choose.choice(NUMBERS)]
        return {choose.choice(["eq", "in", "AND", "id", "\0", "x"]): choose.choice(TEXTS)}

    def _literal(self, kind: Any, value: Any) -> str:
        """A value as it stands in a document; enums without quotes."""
        if isinstance(kind, GraphQLNonNull):
            return self._literal(kind.of_type, value)
        if isinstance(kind, GraphQLList) and isinstance(value, list):
            return f"[{', '.join(self._literal(kind.of_type, item) for item in value)}]"
        if isinstance(value, dict):
            fields = kind.fields if is_input_object_type(kind) else {}
            pairs = (
                f"{name}: {self._literal(fields[name].type if name in fields else None, item)}"
                for name, item in value.items()
            )
            return f"{{ {', '.join(pairs)} }}"
        if is_enum_type(kind) and isinstance(value, str):
            return value
        return json.dumps(value)

    def _spoilt(self, body: bytes) -> bytes:
        """The body as it is, or with something wrong in its bytes."""
        chance, choose = self._choose.random(), self._choose
        at = choose.randrange(len(body) + 1)
        if chance < 0.75 or not self._hostile:
            return body
        if chance < 0.85:
            return body[:at] + choose.choice(BYTES) + body[at:]
        if chance < 0.9:
            return body[:at]
        if chance < 0.92:
            return body.decode().encode(choose.choice(["utf-16", "utf-32", "utf-8-sig"]))
        if chance < 0.97:
            deep = choose.choice([b"[", b'{"a":', b'{"AND":[']) * choose.choice(
                [100, 2000, 100_000]
            )
            return b'{"query": "query ($v: [Int]) { __typename }", "variables": {"v": ' + deep
        if chance < 0.998:
            return choose.choice([b"", b"null", b"[]", b"0", b'""', b"[" + body + b"]", body * 2])
        return body[:-1] + b" " * 10_000_000 + b"}"

    def _often(self, probability: float) -> bool:
        return self._choose.random() < probability

    def _wrong(self, probability: float) -> bool:
        return self._hostile and self._often(probability)
