"""Answers that are kept, compressed, or read by pages of other origins: over a real server."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from httpx import AsyncClient, Response
from uuid_utils.compat import uuid7
from with_slowness import Quarry, Stone

from guanxi_core import api_tokens
from guanxi_graphql.compression import LEAST
from listening import asking, booted

CRM = "https://crm.example.com"
TITLES = "{ stones(first: 500) { edges { node { title } } } }"
SECRETS = "{ stones(first: 500) { edges { node { title within } } } }"
COUNT = "{ stones { totalCount } }"
ADD = """mutation ($title: String!) {
  createStone(input: { title: $title }) { stone { ALIASES } }
}""".replace("ALIASES", " ".join(f"t{n}: title" for n in range(25)))


class Site(NamedTuple):
    app: Any
    client: AsyncClient

    async def get(self, query: str = TITLES, method: str = "GET", **headers: str) -> Response:
        headers = {"accept-encoding": "identity", **_spelled(headers)}
        return await self.client.request(
            method, "/graphql", params={"query": query}, headers=headers
        )

    async def post(self, query: str = TITLES, **headers: str) -> Response:
        headers = {"accept-encoding": "identity", **_spelled(headers)}
        return await self.client.post("/graphql", json={"query": query}, headers=headers)

    async def raw(self, query: str, **headers: str) -> tuple[Response, bytes]:
        """An answer, and the bytes that came for it."""
        request = self.client.build_request(
            "GET", "/graphql", params={"query": query}, headers=_spelled(headers)
        )
        answer = await self.client.send(request, stream=True)
        return answer, b"".join([chunk async for chunk in answer.aiter_raw()])


def _spelled(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture(scope="module")
async def site(guanxi_database: Any) -> AsyncIterator[Site]:
    async with booted(guanxi_database, Quarry()) as app:
        async with app.context() as ctx:
            rows = [{"id": uuid7(), "title": f"stone {n} " + "x" * 80, "within": "gold"}
                    for n in range(100)]  # fmt: skip
            await ctx.save_many(Stone, rows)
        async with asking(app, origins=[CRM], rate_limit=1000) as client:
            yield Site(app, client)


async def test_an_answer_is_kept_until_it_would_be_another(site: Site) -> None:
    first = await site.get()
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    varies = first.headers["vary"].split(", ")
    assert {"authorization", "accept", "accept-language", "accept-encoding"} <= set(varies)
    for given in (tag, tag.removeprefix("W/"), f'"x", {tag}', f'W/"y",{tag} , "z"', "*"):
        same = await site.get(if_none_match=given)
        assert (same.status_code, same.content) == (304, b"")
        assert "content-length" not in same.headers
        for name in ("etag", "cache-control", "vary"):
            assert same.headers[name] == first.headers[name]
        assert same.headers["ratelimit"]
    for given in ('"x"', "", "W/", tag.strip('"'), tag[:-2] + '"', tag.upper()):
        other = await site.get(if_none_match=given)
        assert (other.status_code, other.content) == (200, first.content), given
    # another question, another answer
    assert (await site.get(COUNT, if_none_match=tag)).status_code == 200
    async with site.app.context() as ctx:
        await ctx.add(Stone(title="one more"))
    changed = await site.get(if_none_match=tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert "one more" in changed.text


async def test_who_may_not_see_it_is_not_told_that_it_is_the_same(site: Site) -> None:
    tag = (await site.get()).headers["etag"]
    assert (await site.get(if_none_match=tag, authorization="Bearer gx_wrong")).status_code == 401
    poor = f"Bearer {await site.app.token([])}"
    refused = await site.get(if_none_match=tag, authorization=poor)
    assert refused.status_code == 200
    assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert refused.json()["data"] == {"stones": None}
    token = await api_tokens.create_token(site.app.platform.pool, site.app.tenant, role="admin")
    mine = f"Bearer {token}"
    assert (await site.get(if_none_match=tag, authorization=mine)).status_code == 304
    token_id = site.app.platform.cached(token).caller.token_id
    await api_tokens.revoke_token(site.app.platform.pool, site.app.tenant, token_id)
    assert (await site.get(if_none_match=tag, authorization=mine)).status_code == 401


async def test_what_is_no_ones_to_keep_has_no_tag(site: Site) -> None:
    reason = "a look"
    for answer in (
        await site.post(),
        await site.get("{ nothing }"),
        await site.get("{"),
        await site.get(authorization="Bearer gx_wrong"),
        await site.get("mutation { x }"),
        await site.get(SECRETS, guanxi_reason=reason),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers
    secret = await site.get(SECRETS, guanxi_reason=reason, if_none_match="*")
    assert secret.json()["data"]["stones"]["edges"][0]["node"]["within"] == "gold"
    # without a reason the values are withheld, and the answer is like any other
    assert "etag" in (await site.get(SECRETS)).headers


async def test_head_answers_as_get_does_and_without_a_body(site: Site) -> None:
    got = await site.get()
    head = await site.get(method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "cache-control", "vary"):
        assert head.headers[name] == got.headers[name]
    assert int(head.headers["content-length"]) == len(got.content)
    assert (await site.get(method="HEAD", if_none_match=got.headers["etag"])).status_code == 304
    assert (await site.get("mutation { x }", method="HEAD")).status_code == 405
    assert (await site.get(method="HEAD", authorization="Bearer gx_wrong")).status_code == 401
    assert (await site.get(method="HEAD", accept="text/html")).headers["content-length"] == "4"
    # the connection is not confused about where the next answer begins
    assert (await site.get(COUNT)).json() == {"data": {"stones": {"totalCount": await count(site)}}}


async def test_large_answers_are_compressed_for_who_takes_it(site: Site) -> None:
    plain, body = await site.raw(TITLES, accept_encoding="identity")
    assert len(body) > LEAST
    for given in ("gzip", "br, gzip;q=0.2", "GZIP", "deflate, gzip;q=1.0, *;q=0"):
        answer, packed = await site.raw(TITLES, accept_encoding=given)
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-length"] == str(len(packed))
        assert len(packed) < len(body) / 3
        assert gzip.decompress(packed) == body
        assert answer.headers["etag"] == plain.headers["etag"]  # which is why it is weak
    for given in ("", "identity", "br", "gzip;q=0", "*", "gzipped", "x" * 600 + ", gzip"):
        answer, same = await site.raw(TITLES, accept_encoding=given)
        assert "content-encoding" not in answer.headers
        assert same == body
    posted = await site.post(accept_encoding="gzip")
    assert posted.headers["content-encoding"] == "gzip"
    assert posted.content == body
    tag = plain.headers["etag"]
    kept = await site.get(accept_encoding="gzip", if_none_match=tag)
    assert (kept.status_code, kept.content) == (304, b"")
    assert "content-encoding" not in kept.headers


async def test_small_and_secret_answers_are_sent_as_they_are(site: Site) -> None:
    for answer in (
        await site.post(COUNT, accept_encoding="gzip"),
        await site.get(COUNT, accept_encoding="gzip"),
        await site.post("{ nothing }", accept_encoding="gzip"),
        await site.post(SECRETS, accept_encoding="gzip", guanxi_reason="a look"),
        await site.get(SECRETS, accept_encoding="gzip", guanxi_reason="a look"),
    ):
        assert "content-encoding" not in answer.headers
    title = "x" * 200
    made = await site.client.post(
        "/graphql", headers={"accept-encoding": "gzip"},
        json={"query": ADD, "variables": {"title": title}},
    )  # fmt: skip
    assert made.json()["data"]["createStone"]["stone"]["t24"] == title
    assert len(made.content) > LEAST
    assert "content-encoding" not in made.headers


async def test_very_large_answers_are_compressed_beside_the_loop(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from guanxi_graphql import compression

    monkeypatch.setattr(compression, "_BESIDE", LEAST)
    answer, packed = await site.raw(TITLES, accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(json.loads(zlib.decompress(packed, 31))["data"]["stones"]["edges"]) == await count(
        site
    )


async def count(site: Site) -> int:
    return len(await site.app.all(Stone))


# -- other origins ---------------------------------------------------------------------------------

ASKS = {"access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type"}  # fmt: skip


def granted(answer: Response) -> dict[str, str]:
    return {
        name.removeprefix("access-control-"): value
        for name, value in answer.headers.items()
        if name.startswith("access-control-")
    }


async def test_a_configured_origin_may_ask_and_no_other(site: Site) -> None:
    async def preflight(origin: str, **asks: str) -> Response:
        headers = {"origin": origin, **(asks or ASKS)}
        return await site.client.options("/graphql", headers=headers)

    allowed = await preflight(CRM)
    assert (allowed.status_code, allowed.content) == (204, b"")
    grants = granted(allowed)
    assert grants["allow-origin"] == CRM
    assert "POST" in grants["allow-methods"]
    for name in ("authorization", "content-type", "idempotency-key", "guanxi-reason"):
        assert name in grants["allow-headers"].split(", ")
    assert "allow-credentials" not in grants
    assert "origin" in allowed.headers["vary"]
    others = ["https://evil.example", f"{CRM}.evil.example", "http://crm.example.com", "null", "*",
              f"{CRM}:8443", f"{CRM}/", "https://CRM.example.com", ""]  # fmt: skip
    for other in others:
        assert granted(await preflight(other)) == {}
        assert granted(await site.get(origin=other)) == {}
        assert granted(await site.post(origin=other)) == {}


async def test_a_page_of_a_configured_origin_reads_every_answer(site: Site) -> None:
    tag = (await site.get()).headers["etag"]
    for answer in (
        await site.post(origin=CRM),
        await site.get(origin=CRM),
        await site.get(origin=CRM, if_none_match=tag),
        await site.get(origin=CRM, method="HEAD"),
        await site.post("{", origin=CRM),
        await site.post(origin=CRM, authorization="Bearer gx_wrong"),
        await site.post(origin=CRM, accept="image/png"),
    ):
        grants = granted(answer)
        assert grants["allow-origin"] == CRM
        assert "allow-credentials" not in grants
        exposed = set(grants["expose-headers"].split(", "))
        assert {"etag", "x-request-id", "ratelimit", "ratelimit-policy", "retry-after"} <= exposed
    # a copy that was kept for a page of our own is not given to one of another origin
    assert "origin" in (await site.get()).headers["vary"]


async def test_without_configured_origins_none_may_ask(guanxi: Any) -> None:
    async with asking(await guanxi(Quarry())) as client:
        answer = await client.options("/graphql", headers={"origin": CRM, **ASKS})
        assert (answer.status_code, granted(answer)) == (200, {})
        answer = await client.post("/graphql", json={"query": COUNT}, headers={"origin": CRM})
        assert (answer.status_code, granted(answer)) == (200, {})


async def test_a_request_id_is_a_plain_word_or_a_new_one(site: Site) -> None:
    for given in ("a-b_c.9", "x" * 64):
        assert (await site.get(COUNT, x_request_id=given)).headers["x-request-id"] == given
    for given in ("x" * 65, "a b", "a,b", "<b>", 'a"b', "", "a\u00e9", "a;b=c", "${x}"):
        answer = await site.client.get(
            "/graphql", params={"query": COUNT}, headers=[(b"x-request-id", given.encode())]
        )
        made = answer.headers["x-request-id"]
        assert made != given
        assert len(made) == 16
        assert made.isalnum()
