"""Relay's compiler accepts the schema, and the documents that its users write."""

import shutil
from pathlib import Path

import pytest

import npm
from guanxi_core.discovery import discover
from guanxi_core.editions import compose
from guanxi_graphql.schema import sdl

RELAY = Path(__file__).parent / "relay"
UNTRIED = "Relay's compiler was not tried"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packages = npm.packages(RELAY, UNTRIED)
    folder = tmp_path_factory.mktemp("relay")
    shutil.copytree(RELAY, folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(packages / "node_modules")
    (folder / "made").mkdir()
    plugins = [discover().get(name) for name in ("customers", "tiers")]
    (folder / "schema.graphql").write_text(sdl(compose(plugins)), encoding="utf-8")
    return folder


def compiled(project: Path) -> tuple[int, str]:
    npx = npm.program("npx", UNTRIED)
    done = npm.run(project, npx, "--no-install", "relay-compiler", "--noWatchman")
    return done.returncode, done.stdout + done.stderr


def test_relay_compiles_pages_and_refetching(project: Path) -> None:
    status, output = compiled(project)
    assert status == 0, output
    made = {path.name.removesuffix(".graphql.ts"): path for path in (project / "made").iterdir()}
    assert {"boardCustomersPage", "boardCardAgain", "boardQuery"} <= made.keys()
    again = made["boardCardAgain"].read_text("utf-8")
    assert "node(id: $id)" in again  # refetched through Node
    page = made["board_customers"].read_text("utf-8")
    for part in ('"hasNextPage"', '"endCursor"', '"cursor"', '"connection"'):
        assert part in page


def test_relay_finds_what_the_schema_does_not_have(project: Path) -> None:
    """The compiler does look at it."""
    source = project / "board.ts"
    source.write_text(source.read_text("utf-8").replace("purchaseTotal", "purchaseSum"), "utf-8")
    status, output = compiled(project)
    assert status != 0
    assert "purchaseSum" in output
