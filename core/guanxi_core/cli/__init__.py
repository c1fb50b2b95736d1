"""The command ``guanxi``.

Only the front page is here. A command's module is imported when the command is used, and what a
command needs is imported when it runs, so that ``guanxi --help`` answers at once.
"""

import errno
import gc
import importlib
import io
import os
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final

import rich_click as click

#: What the front page says about each command, in this order. Those without a module come from the
#: entry point group ``guanxi.commands``; others found there follow at the end.
_COMMANDS: Final[Mapping[str, tuple[str | None, str]]] = {
    "demo": (None, "Try guanxi with sample data."),
    "serve": (None, "Serve GraphQL."),
    "worker": ("guanxi_core.cli.worker:worker", "Run handlers and schedules."),
    "migrate": ("guanxi_core.cli.migrate:migrate", "Make or update the tables."),
    "tenant": ("guanxi_core.cli.tenants:tenant", "Create and list tenants."),
    "user": ("guanxi_core.cli.users:user", "Create and list a tenant's users."),
    "role": ("guanxi_core.cli.roles:role", "List a tenant's roles."),
    "token": ("guanxi_core.cli.tokens:token", "Create, list and revoke API tokens."),
    "plugins": ("guanxi_core.cli.plugins:plugins", "List the installed plugins."),
    "enable": ("guanxi_core.cli.plugins:enable", "Switch a plugin on for a tenant."),
    "disable": ("guanxi_core.cli.plugins:disable", "Switch a plugin off for a tenant."),
    "import": ("guanxi_core.cli.importing:import_", "Import a CSV file."),
    "export": (None, "Export rows as JSON Lines or CSV."),
    "backup": ("guanxi_core.cli.backup:backup", "Write all tenants to a file."),
    "restore": ("guanxi_core.cli.backup:restore", "Fill an empty database from a backup."),
    "audit": ("guanxi_core.cli.audit:audit", "Verify the audit."),
    "erase": ("guanxi_core.cli.erasing:erase", "Erase what is kept about a person."),
    "schema": (None, "Print a tenant's GraphQL schema, or compare it."),
    "operations": (None, "Register what clients may ask for."),
    "limits": ("guanxi_core.cli.limits:limits", "Show or set the limits of requests."),
    "doctor": ("guanxi_core.cli.doctor:doctor", "Check database, migrations and plugins."),
}
_GROUP: Final = "guanxi.commands"
#: New objects before garbage is looked for: at the usual 700, a quarter of a start goes into it.
_OBJECTS: Final = 50_000


class _Front(click.RichGroup):
    """Lists all commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        offered = _offered(ctx)
        known = [name for name, (module, _) in _COMMANDS.items() if module or name in offered]
        return [*known, *sorted(offered - set(known))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module, short_help = _COMMANDS.get(cmd_name, (None, None))
        if module is None and cmd_name not in _offered(ctx):
            return None
        if short_help is not None:
            return click.RichCommand(name=cmd_name, short_help=short_help)
        return _load(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name else None, rest


def _offered(ctx: click.Context) -> set[str]:
    """The entry points' names, looked for once."""
    if _GROUP not in ctx.meta:
        ctx.meta[_GROUP] = {entry.name for entry in entry_points(group=_GROUP)}
    names: set[str] = ctx.meta[_GROUP]
    return names


def _load(name: str) -> click.Command:
    """The real command, or one that says why there is none."""
    module = _COMMANDS.get(name, (None, ""))[0]
    try:
        if module:
            path, _, attribute = module.partition(":")
            loaded = getattr(importlib.import_module(path), attribute)
        else:
            loaded = next(iter(entry_points(group=_GROUP, name=name))).load()
    except (Exception, SystemExit) as error:
        return _broken(name, " ".join(f"{type(error).__name__}: {error}".split()))
    return loaded if isinstance(loaded, click.Command) else _broken(name, "not made with click")


def _broken(name: str, reason: str) -> click.Command:
    @click.command(name, short_help=f"Broken: {reason}", context_settings=_ANYTHING)
    def broken() -> None:
        raise click.ClickException(f"the command '{name}' cannot be loaded: {reason}")

    return broken


_ANYTHING: Final[dict[str, Any]] = {
    "ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": [],
}  # fmt: skip


@click.group(
    cls=_Front,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: guanxi demo",
)
@click.version_option(package_name="guanxi", message="%(prog)s %(version)s")
def guanxi() -> None:
    """A headless, plugin-first platform for relationship CRM.

    Settings are read from guanxi.toml in the current folder and from GUANXI_* variables; without
    any, guanxi keeps an embedded database in .guanxi/.
    """


def main() -> None:
    """Run ``guanxi``: errors become one line on stderr and an exit status."""
    gc.set_threshold(_OBJECTS, 20, 50)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ is no reason to fail
    try:
        status = guanxi.main(prog_name="guanxi", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "guanxi"
        _complain(f"{_sentence(error.format_message())} See {path} --help.")
        status = 2
    except click.ClickException as error:
        _complain(error.format_message())
        status = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        status = 130
    except BrokenPipeError:  # the reader, for instance `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:
        if os.environ.get("GUANXI_DEBUG"):
            raise
        _complain(_explain(error))
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: Exception) -> str:
    """One line for people; what guanxi did not raise on purpose is called by its type."""
    from guanxi_core.database.embedded import EmbeddedError
    from guanxi_sdk import GuanxiError

    text = " ".join(str(error).split())
    if isinstance(error, GuanxiError | EmbeddedError):
        return text
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "the port is in use: stop what listens there, or choose another with --port."
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return f"{type(error).__name__}: {text} (GUANXI_DEBUG=1 shows where)"


def _complain(text: str) -> None:
    click.echo(f"guanxi: {' '.join(text.split())}", err=True)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!", ")")) else f"{text}."
