"""A built frontend at `/`: what is served, how it is kept, and what is never served."""

import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar

from guanxi_core.config import Config, ConfigError
from guanxi_graphql import frontend
from guanxi_graphql.app import compose
from guanxi_graphql.commands import serve
from guanxi_graphql.frontend import Frontend
from guanxi_graphql.graphiql import StaticFiles, build_page, load_assets
from guanxi_graphql.http import GraphQLEndpoint
from serving import free_port

PAGE = "<!doctype html><title>A frontend</title>"
SCRIPT = "export const words = [" + ", ".join(f'"word {n}"' for n in range(1_000)) + "];\n"
FILES = {
    "index.html": PAGE,
    "about/index.html": PAGE.replace("frontend", "page about it"),
    "assets/index-CyN8G91w.js": SCRIPT,
    "assets/style-b_4-kLx9.css": "p { margin: 0 }",
    "assets/plain.js": SCRIPT,
    "assets/user-settings.js": "export {};",
    "CyN8G91w-index-CyN8G91w.js": "export {};",
    "logo.svg": '<svg xmlns="http://www.w3.org/2000/svg"/>',
    "font.woff2": "wOF2",
    "site.webmanifest": "{}",
    "名片.txt": "关系",
    ".env": "SECRET=1",
    ".git/config": "secret",
}
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site") / "dist"
    for name, content in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content, encoding="utf-8")
    (made.parent / "outside.txt").write_text("secret")
    return made


def application(folder: Path) -> Litestar:
    async def ready() -> None:
        return None

    assets = load_assets()
    endpoint = GraphQLEndpoint(build_page(assets))
    return compose(endpoint, StaticFiles(assets), ready, frontend=Frontend(folder))


@pytest.fixture(scope="module")
async def client(folder: Path) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(application(folder))
    async with AsyncClient(transport=transport, base_url="http://guanxi.test") as client:
        client.headers["accept-encoding"] = "identity"
        yield client


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [("/", "index.html", "text/html; charset=utf-8"),
     ("/index.html", "index.html", "text/html; charset=utf-8"),
     ("/about", "about/index.html", "text/html; charset=utf-8"),
     ("/about/", "about/index.html", "text/html; charset=utf-8"),
     ("/assets/index-CyN8G91w.js", "assets/index-CyN8G91w.js", "text/javascript; charset=utf-8"),
     ("/assets/style-b_4-kLx9.css", "assets/style-b_4-kLx9.css", "text/css; charset=utf-8"),
     ("/logo.svg", "logo.svg", "image/svg+xml; charset=utf-8"),
     ("/font.woff2", "font.woff2", "font/woff2"),
     ("/site.webmanifest", "site.webmanifest", "application/manifest+json; charset=utf-8"),
     ("/名片.txt", "名片.txt", "text/plain; charset=utf-8")],
)  # fmt: skip
async def test_files_are_served(client: AsyncClient, path: str, name: str, kind: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.text) == (200, FILES[name])
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_what_is_named_by_its_content_is_kept_for_good(client: AsyncClient) -> None:
    for path, lasts in (
        ("/assets/index-CyN8G91w.js", True), ("/assets/style-b_4-kLx9.css", True),
        ("/assets/plain.js", False), ("/assets/user-settings.js", False), ("/", False),
        ("/CyN8G91w-index-CyN8G91w.js", False),
    ):  # fmt: skip
        kept = (await client.get(path)).headers["cache-control"]
        assert kept == ("public, max-age=31536000, immutable" if lasts else "no-cache"), path


async def test_what_is_known_is_not_sent_again(client: AsyncClient) -> None:
    first = await client.get("/")
    tag = first.headers["etag"]
    for given in (tag, f'"other", {tag}', "*", tag.removeprefix("W/")):
        again = await client.get("/", headers={"if-none-match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
    other = await client.get("/about", headers={"if-none-match": tag})
    assert (other.status_code, other.text) == (200, FILES["about/index.html"])


async def test_texts_are_compressed_for_who_takes_it(client: AsyncClient) -> None:
    path = "/assets/index-CyN8G91w.js"
    plain = await client.get(path)
    assert "content-encoding" not in plain.headers
    request = client.build_request("GET", path, headers={"accept-encoding": "br, gzip"})
    packed = await client.send(request, stream=True)
    body = b"".join([chunk async for chunk in packed.aiter_raw()])
    assert gzip.decompress(body).decode() == SCRIPT
    assert len(body) == int(packed.headers["content-length"]) < len(SCRIPT) / 3
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    small = await client.get("/", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in small.headers
    assert small.headers["vary"] == "accept, accept-encoding"  # routes are browsers' alone
    assert (await client.get("/nowhere.txt")).headers["cache-control"] == "no-store"


async def test_head_is_get_without_the_body(client: AsyncClient) -> None:
    for path in ("/", "/assets/plain.js", "/nowhere.txt"):
        got, head = await client.get(path), await client.head(path)
        assert head.status_code == got.status_code
        assert head.content == b""
        assert dict(head.headers) == dict(got.headers)


async def test_nothing_is_written(client: AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = await client.request(method, "/index.html")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_routes_of_the_client_lead_to_its_page(client: AsyncClient) -> None:
    for path in ("/customers/42", "/关系", "/about/us", "/a/b/"):
        answer = await client.get(path, headers=BROWSER)
        assert (answer.status_code, answer.text) == (200, PAGE), path
        assert answer.headers["cache-control"] == "no-cache"
    for path, headers in (
        ("/customers/42", {"accept": "application/json"}), ("/customers/42", {"accept": "*/*"}),
        ("/assets/old-CyN8G91x.js", BROWSER), ("/favicon.ico", BROWSER),
    ):  # fmt: skip
        assert (await client.get(path, headers=headers)).status_code == 404, path


@pytest.mark.parametrize(
    "path",
    ["/../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt", "/%2e%2e%2foutside.txt",
     "/assets/../../outside.txt", "/..\\outside.txt", "/....//outside.txt", "//etc/passwd.txt",
     "/%00.txt", "/index.html%00.txt", "/.env", "/.git/config", "/assets/%2e%2e/%2e%2e/outside.txt",
     "/%252e%252e/outside.txt", "/file:///etc/passwd.txt"],
)  # fmt: skip
async def test_no_path_leads_out_of_the_folder(client: AsyncClient, path: str) -> None:
    for headers in ({}, BROWSER):
        answer = await client.get(f"http://guanxi.test{path}", headers=headers)
        assert "ecret" not in answer.text
        assert "root:" not in answer.text
        if path != "/.git/config" or not headers:
            assert answer.status_code in (400, 404), path


async def test_the_servers_own_addresses_stay_its_own(client: AsyncClient) -> None:
    """Also those below them that nothing answers."""
    assert "GraphiQL" in (await client.get("/graphql", headers=BROWSER)).text
    assert (await client.get("/graphql/", headers=BROWSER)).status_code == 200
    assert (await client.get("/graphql/static/page.js")).status_code == 200
    refused = await client.post("/graphql", json={"query": "{ tenant { name } }"})
    assert refused.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await client.get("/health/live", headers=BROWSER)).json()["status"] == "live"
    assert (await client.get("/health/ready", headers=BROWSER)).json() == {"status": "ready"}
    for path in ("/metrics", "/metrics/", "/graphql/other", "/health", "/health/other"):
        answer = await client.get(path, headers=BROWSER)
        assert answer.status_code == 404, path
        assert "A frontend" not in answer.text


# --- folders that cannot be served ----------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text(PAGE)
    return tmp_path


@pytest.mark.parametrize("name", ["metrics", "graphql/index.html", "health/live"])
def test_names_that_are_taken_are_refused(site: Path, name: str) -> None:
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"holds '{name}', .* call it something else"):
        Frontend(site)


def test_a_link_to_outside_is_refused(site: Path, folder: Path) -> None:
    (site / "inside.html").symlink_to("index.html")
    Frontend(site)
    (site / "more.txt").symlink_to(folder.parent / "outside.txt")
    with pytest.raises(ConfigError, match=r"'more\.txt' is a link to outside"):
        Frontend(site)
    (site / "more.txt").unlink()
    (site / "shared").symlink_to(folder)
    with pytest.raises(ConfigError, match=r"'shared' is a link to a folder: copy it"):
        Frontend(site)


def test_what_is_no_build_is_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory\.$"):
        Frontend(site / "nowhere")
    os.rename(site / "index.html", site / "main.html")
    with pytest.raises(ConfigError, match=r"has no index\.html: build it"):
        Frontend(site)
    (site / "index.html").write_text(PAGE)
    monkeypatch.setattr(frontend, "_MOST", 60)
    with pytest.raises(ConfigError, match="is larger than 0 MB"):
        Frontend(site)


def test_the_command_refuses_it_before_anything_is_started(site: Path) -> None:
    (site / "index.html").unlink()
    given = ["--port", str(free_port()), "--frontend", str(site)]
    with pytest.raises(ConfigError, match=r"has no index\.html"):
        serve.main(given, standalone_mode=False)


def test_a_setting_names_the_folder(tmp_path: Path) -> None:
    assert Config.load({}, tmp_path).frontend is None
    assert Config.load({"GUANXI_FRONTEND": "dist"}, tmp_path).frontend == tmp_path / "dist"
    (tmp_path / "guanxi.toml").write_text('frontend = "/srv/board"')
    assert Config.load({}, tmp_path).frontend == Path("/srv/board")
