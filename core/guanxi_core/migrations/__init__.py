"""Migrations: one script directory and one version table per plugin."""

from guanxi_core.migrations.current import ensure_migrated, revisions
from guanxi_core.migrations.runner import MigrationResult, downgrade, migrate
from guanxi_core.migrations.scripts import MigrationError

__all__ = [
    "MigrationError",
    "MigrationResult",
    "downgrade",
    "ensure_migrated",
    "migrate",
    "revisions",
]
