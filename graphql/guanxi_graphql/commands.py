"""``guanxi serve`` and ``guanxi demo``."""

import asyncio
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from guanxi_core.config import Config
    from guanxi_core.database.server import Database
    from guanxi_core.platform import Platform
    from guanxi_graphql.listening import Address

_TENANT, _BUNDLE = "demo", "telecom"
_VALID_FOR = dt.timedelta(hours=24)

#: What a newcomer may ask the demonstration, with a title each.
QUERIES = {
    "Who buys most, and which tier are they?": """
        query BestCustomers {
          customers(first: 5, orderBy: [PURCHASE_TOTAL_DESC]) {
            totalCount
            edges { node { name nameEn tier tierScore purchaseTotal { amount currency } } }
          }
        }
    """,
    "Why is the customer with the highest score in its tier?": """
        query Reasons {
          customers(first: 1, orderBy: [TIER_SCORE_DESC]) {
            edges { node { name tier tierConfidence tierReasons { message messageZh } } }
          }
        }
    """,
    "Whom do we know there, and who looks after them?": """
        query People {
          customers(first: 3, where: { tier: { in: [S, A] } }) {
            edges {
              node {
                name
                stewardName
                office { name }
                persons(first: 5, orderBy: [RANK_DESC]) { edges { node { name title role } } }
              }
            }
          }
        }
    """,
}


@click.command(
    epilog="Example: guanxi serve --host 0.0.0.0 --port 8000 --workers 4",
    short_help="Serve GraphQL.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="TCP port."
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True,
    help="Processes that share the port; about one for each core.",
)  # fmt: skip
@click.option(
    "--no-worker", is_flag=True,
    help="Run no handlers and schedules here; `guanxi worker` does, on machines of its own.",
)  # fmt: skip
@click.option(
    "--frontend", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Folder of a built frontend, with an index.html, to serve at /.",
)  # fmt: skip
def serve(host: str, port: int, workers: int, no_worker: bool, frontend: Path | None) -> None:
    """Serve GraphQL at /graphql until it is stopped with Ctrl-C or SIGTERM.

    Browsers get GraphiQL there. /health/live and /health/ready are for supervisors. Handlers of
    events and schedules run here as well.
    """
    import structlog

    from guanxi_core.config import Config
    from guanxi_core.database.server import open_database
    from guanxi_core.telemetry import logs
    from guanxi_core.telemetry.sharing import sharing_metrics
    from guanxi_graphql.listening import free_address

    address = free_address(host, port)
    config = Config.load()
    if frontend is not None:
        config = replace(config, frontend=frontend.absolute())
    _check_frontend(config)
    logs.configure(config.log_level, config.log_format)
    with sharing_metrics(config.metrics_token is not None), open_database(config) as database:
        asyncio.run(_check(database))
        from guanxi_graphql.server import run_server

        structlog.get_logger("guanxi.server").info(
            "guanxi listens", url=f"{address.url}/graphql", workers=workers
        )
        run_server(config, address, workers, deliver=not no_worker)


@click.command(epilog="Example: guanxi demo --port 8080", short_help="Try guanxi with sample data.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="TCP port."
)
def demo(port: int) -> None:
    """Make a tenant with sample data, unless there is one, and serve it on this machine.

    Prints the address, a token that is valid for a day, and queries to try. Ctrl-C stops it all;
    the data stay where GUANXI_HOME points to.
    """
    from guanxi_core.config import Config
    from guanxi_core.database.server import open_database
    from guanxi_core.telemetry import logs
    from guanxi_graphql.listening import free_address

    address = free_address("127.0.0.1", port)
    config = Config.load()
    logs.configure(config.log_level, config.log_format)
    _check_frontend(config)
    place = "the database of GUANXI_DATABASE_URL" if config.database_url else f"{config.home}"
    click.echo(f"Opening the database in {place} …")
    with open_database(config) as database:
        token = asyncio.run(_prepare(database))
        from guanxi_graphql.server import run_server

        click.echo(_introduction(address, token))
        run_server(config, address, workers=1)
        click.echo("\nStopping …")
    click.echo("Stopped; nothing is left running.")


def _check_frontend(config: "Config") -> None:
    """Fail before any worker does."""
    if config.frontend is not None:
        from guanxi_graphql.frontend import Frontend

        Frontend(config.frontend)


async def _platform(database: "Database") -> "Platform":
    from guanxi_core.discovery import discover
    from guanxi_core.migrations import ensure_migrated
    from guanxi_core.platform import Platform

    registry = await ensure_migrated(database, discover())
    return await Platform.open(database.app_url, registry=registry, pool_size=2)


async def _check(database: "Database") -> None:
    """Fail before any worker does: here the error is one line, and nobody restarts anything."""
    async with await _platform(database):
        pass


async def _prepare(database: "Database") -> str:
    """Tables, tenant and sample data; returns a token."""
    from guanxi_core.api_tokens import create_token
    from guanxi_core.bundles import create_tenant_with_bundle, discover_bundles
    from guanxi_core.cli.opening import operator
    from guanxi_core.tenancy import find_tenant
    from guanxi_sdk import NotFound

    click.echo("Bringing the tables up to date …")
    async with await _platform(database) as platform:
        try:
            tenant = await find_tenant(platform.pool, _TENANT)
        except NotFound:
            click.echo(f"Creating the tenant '{_TENANT}' with the bundle '{_BUNDLE}' …")
            bundle = discover_bundles().get(_BUNDLE)
            tenant = await create_tenant_with_bundle(platform, _TENANT, bundle, actor=operator())
        return await create_token(
            platform.pool, tenant, role="admin", label="demo", expires_in=_VALID_FOR,
            actor=operator(),
        )  # fmt: skip


def _introduction(address: "Address", token: str) -> str:
    parts = [
        "",
        f"guanxi listens at {address.url}/graphql: open it in a browser, and paste this token",
        "into the field at the top. It is valid for 24 hours.",
        "",
        f"  {token}",
        "",
        "Three queries to try, in the browser or in another terminal:",
    ]
    for title, text in QUERIES.items():
        query = dedent(text).strip()
        body = json.dumps({"query": " ".join(query.split())})
        parts += [
            "",
            f"# {title}",
            query,
            "",
            f"curl -s {address.url}/graphql \\",
            f"  -H 'Authorization: Bearer {token}' \\",
            "  -H 'Content-Type: application/json' \\",
            f"  -d '{body}'",
        ]
    return "\n".join([*parts, "", "Ctrl-C stops it."])
