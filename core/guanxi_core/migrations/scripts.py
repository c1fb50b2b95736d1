"""Where revisions lie, and which is the newest: read without running them."""

import ast
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guanxi_sdk import GuanxiError, Plugin

#: The core's own name among the plugins: its tables are called ``guanxi_*``.
CORE: Final = "guanxi"


class MigrationError(GuanxiError):
    """Migrations cannot be found, written or applied; the message names culprit and remedy."""


@dataclass(frozen=True, slots=True)
class Scripts:
    """The revisions of the core or of one plugin."""

    name: str
    folder: Path | None  # None where the package cannot be found
    requires: tuple[str, ...] = ()
    has_models: bool = True

    @property
    def prefix(self) -> str:
        """What the names of all its tables begin with."""
        return f"{self.name}_"

    @property
    def version_table(self) -> str:
        """The table that holds the current revision."""
        return version_table(self.name)

    @property
    def exists(self) -> bool:
        """Whether there is any revision."""
        return self.folder is not None and any(self.folder.glob("[!_]*.py"))

    def head(self) -> str | None:
        """The newest revision, or None without any; several are an error."""
        if not self.exists or self.folder is None:
            return None
        revisions: dict[str, str] = {}
        parents: set[str] = set()
        for path in sorted(self.folder.glob("[!_]*.py")):
            named = _literals(path)
            revision = named.get("revision")
            if not isinstance(revision, str):
                raise MigrationError(
                    f"migrations of '{self.name}': {path.name} has no line revision = \"…\"."
                )
            if revision in revisions:
                raise MigrationError(
                    f"migrations of '{self.name}': {path.name} and {revisions[revision]} both have "
                    f"the revision {revision}: renumber one and let it follow the other."
                )
            revisions[revision] = path.name
            before = named.get("down_revision")
            parents.update([before] if isinstance(before, str) else before or ())
        heads = sorted(set(revisions) - parents)
        if len(heads) != 1:
            raise MigrationError(
                f"migrations of '{self.name}': {', '.join(revisions[h] for h in heads) or 'none'} "
                "are the newest side by side: let down_revision of one name the other."
            )
        return heads[0]


def version_table(name: str) -> str:
    """The name of the version table of the plugin ``name``."""
    return f"alembic_version_{name}"


def core_scripts() -> Scripts:
    """The core's own revisions."""
    return Scripts(CORE, Path(__file__).parent / "versions")


def scripts_of(plugin: type[Plugin[Any]]) -> Scripts:
    """The revisions of one plugin, in ``migrations/versions`` of its package."""
    manifest = plugin.manifest
    try:
        spec = importlib.util.find_spec(manifest.package)
    except (ImportError, ValueError):  # for instance a class typed in at the prompt
        spec = None
    places = spec.submodule_search_locations if spec else None
    return Scripts(
        name=manifest.name,
        folder=Path(next(iter(places))) / "migrations" / "versions" if places else None,
        requires=tuple(name for name, _ in manifest.requires),
        has_models=bool(manifest.models or manifest.extensions),
    )


def in_order(plugins: Iterable[type[Plugin[Any]]]) -> list[Scripts]:
    """The core first, then each plugin after what it requires.

    What is required but missing, or requires itself in a circle, comes last: whoever migrates says
    so for that plugin, and the others are not held up.
    """
    waiting = {s.name: s for s in sorted(map(scripts_of, plugins), key=lambda s: s.name)}
    ordered = [core_scripts()]
    done = {CORE}
    while ready := [s for s in waiting.values() if done.issuperset(s.requires)]:
        for scripts in ready:
            ordered.append(waiting.pop(scripts.name))
        done.update(s.name for s in ready)
    return [*ordered, *waiting.values()]


def _literals(path: Path) -> dict[str, Any]:
    """What ``revision`` and ``down_revision`` are set to at the top of a revision file."""
    try:
        tree = ast.parse(path.read_text("utf-8").split("\ndef ")[0])  # what follows may be long
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise MigrationError(f"{path.name} cannot be read as Python: {error}.") from None
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            for name in names & {"revision", "down_revision"}:
                try:
                    found[name] = ast.literal_eval(node.value)
                except ValueError:
                    raise MigrationError(f"{path.name}: write {name} as a plain text.") from None
    return found
