"""Plugin packages written for one test: models and revisions as text, gone afterwards."""

import importlib
import linecache
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from sqlalchemy.orm import configure_mappers

from guanxi_sdk import Plugin
from guanxi_sdk.model import _Mapped

_HEAD = '''
"""A plugin of a test."""
import datetime as dt
from typing import Annotated
from uuid import UUID
import sqlalchemy as sa
from guanxi_sdk import Choice, Extension, Model, Money, Plugin, Value, column, reference
from msgspec import Meta
from sqlalchemy.orm import Mapped
'''
_REVISION = '''
"""A revision of a test."""
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {down!r}


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
'''


class Packages:
    """Writes and imports packages below one folder, and makes Python forget them again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[str] = []
        sys.path.insert(0, str(folder))

    def plugin(self, name: str, models: str = "", declared: str = "", requires: str = "") -> Any:
        """A plugin class; ``models`` defines what ``declared`` names."""
        package = f"guanxi_{name}"
        self.forget(package)
        place = self.folder / package
        place.mkdir(exist_ok=True)
        (place / "__init__.py").write_text(
            f"{_HEAD}{dedent(models)}\n\n"
            f"class It(Plugin, name={name!r}, models=[{declared}], requires=[{requires}]):\n"
            '    """Of a test."""\n'
        )
        importlib.invalidate_caches()
        linecache.checkcache()
        bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a rewrite may be quick
        made: type[Plugin[Any]] = importlib.import_module(package).It
        sys.dont_write_bytecode = bytecode
        configure_mappers()
        self._made.append(package)
        return made

    def versions(self, name: str) -> Path:
        """Where the plugin's revisions lie."""
        return self.folder / f"guanxi_{name}" / "migrations" / "versions"

    def revision(self, name: str, number: str, upgrade: str, downgrade: str = "pass") -> Path:
        """Write a revision that follows the one before; bodies may have several lines."""
        place = self.versions(name)
        place.mkdir(parents=True, exist_ok=True)
        before = sorted(p.name[:4] for p in place.glob("*.py"))
        path = place / f"{number}_step.py"
        path.write_text(
            _REVISION.format(
                revision=number,
                down=before[-1] if before else None,
                upgrade=dedent(upgrade).strip().replace("\n", "\n    "),
                downgrade=dedent(downgrade).strip().replace("\n", "\n    "),
            )
        )
        return path

    def table(self, name: str, *columns: str, tenant: bool = True) -> str:
        """A ``create_table`` with keys as they must be."""
        keys = (
            'sa.Column("tenant_id", sa.Uuid(), nullable=False), '
            'sa.Column("id", sa.Uuid(), nullable=False), '
            'sa.PrimaryKeyConstraint("tenant_id", "id"), '
            if tenant
            else 'sa.Column("id", sa.Uuid(), primary_key=True), '
        )
        return f'op.create_table("{name}", {keys}{", ".join(columns)})'

    def forget(self, package: str) -> None:
        """Unmap the package's models and drop its modules."""
        mine = [m for m in _Mapped.registry.mappers if m.class_.__module__.split(".")[0] == package]
        for mapper in mine:
            _Mapped.registry._dispose_cls(mapper.class_)
            mapper._set_dispose_flags()
            _Mapped.metadata.remove(mapper.local_table)
        for module in [m for m in sys.modules if m.split(".")[0] == package]:
            del sys.modules[module]

    def close(self) -> None:
        """Forget all of them."""
        for package in reversed(self._made):
            self.forget(package)
        sys.path.remove(str(self.folder))
        importlib.invalidate_caches()
