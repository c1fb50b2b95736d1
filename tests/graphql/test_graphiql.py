"""The page for browsers: whole, closed to foreign code, and alive in a real browser."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar

from guanxi_graphql import graphiql
from guanxi_graphql.app import compose
from guanxi_graphql.graphiql import StaticFiles, build_page, load_assets
from guanxi_graphql.http import GraphQLEndpoint
from guanxi_sdk import GuanxiError
from listening import listening

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def application() -> Litestar:
    async def ready() -> str | None:
        return None

    assets = load_assets()
    return compose(GraphQLEndpoint(build_page(assets)), StaticFiles(assets), ready)


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(application())
    async with AsyncClient(transport=transport, base_url="http://guanxi.test") as client:
        yield client


async def test_the_page_and_all_that_it_names_are_served(client: AsyncClient) -> None:
    page = await client.get("/graphql", headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>guanxi</title>" in page.text
    references = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    files = [reference for reference in references if reference != "data:,"]
    assert len(files) == 8
    for file in files:
        assert file.startswith("/graphql/static/")
        answer = await client.get(file)
        assert answer.status_code == 200
        assert len(answer.content) > 200
        kind = "text/css" if ".css" in file else "text/javascript"
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_page_runs_no_code_but_its_own(client: AsyncClient) -> None:
    page = await client.get("/graphql", headers=BROWSER)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|//", page.text)
    assert page.headers["referrer-policy"] == "no-referrer"


async def test_the_token_stays_in_the_tab(client: AsyncClient) -> None:
    script = (await client.get("/graphql/static/page.js")).text
    code = re.sub(r"^\s*//.*$", "", script, flags=re.MULTILINE)
    assert "sessionStorage" in code
    for elsewhere in ("localStorage", "document.cookie", "location.search", "location.hash"):
        assert elsewhere not in code
    assert "shouldPersistHeaders: false" in code


async def test_other_versions_are_not_kept_for_good(client: AsyncClient) -> None:
    for query in ("", "?v=0", "?v=", "?v=0&v=1"):
        answer = await client.get(f"/graphql/static/page.js{query}")
        assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["", "/", "/../http.py", "/%2e%2e/http.py", "/..%2fhttp.py", "//etc/passwd", "/page.js/x",
     "/%00", "/index.html", "/..\\http.py", "/\u5173"],
)  # fmt: skip
async def test_nothing_else_is_served(client: AsyncClient, path: str) -> None:
    answer = await client.get(f"http://guanxi.test/graphql/static{path}")
    assert answer.status_code in (400, 404)
    assert b"import" not in answer.content


async def test_files_are_read_only(client: AsyncClient) -> None:
    answer = await client.post("/graphql/static/page.js")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_the_root_leads_to_the_page(client: AsyncClient) -> None:
    answer = await client.get("/", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (302, "/graphql")
    answer = await client.get("/graphql/", headers=BROWSER)
    assert answer.status_code == 200
    assert (await client.get("/graphql/other", headers=BROWSER)).status_code == 404
    assert (await client.get("/schema", headers=BROWSER)).status_code == 404


async def test_health(client: AsyncClient) -> None:
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).json() == {"status": "ready"}

    async def unready() -> str | None:
        return "The database does not answer."

    assets = load_assets()
    app = compose(GraphQLEndpoint(build_page(assets)), StaticFiles(assets), unready)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://guanxi.test") as client:
        answer = await client.get("/health/ready")
        assert answer.status_code == 503
        assert answer.json()["reason"] == "The database does not answer."
        assert (await client.get("/health/live")).status_code == 200


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphiql, "find_spec", lambda name: None)
    with pytest.raises(GuanxiError, match="pip install graphene-django-graphiql-static"):
        load_assets()


async def test_a_real_browser_shows_it(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        reason = "no chromium on this machine: the page was not tried in a browser"
        if os.environ.get("GUANXI_CI") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    async with listening(application()) as url:
        browser = await asyncio.create_subprocess_exec(
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path}", "--virtual-time-budget=8000",
            "--enable-logging=stderr", "--dump-dom", f"{url}/graphql",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, noise = await asyncio.wait_for(browser.communicate(), 60)
    dom, log = output.decode(), noise.decode(errors="replace")
    assert "graphiql-container" in dom
    assert "totalCount" in dom
    assert "guanxi token create" in dom
    assert "Content Security Policy" not in log
    assert "Uncaught" not in log
