"""Backups: one consistent snapshot of all tenants in a file, and the way back.

PostgreSQL's own dump would see no rows: row-level security binds the tables' owner, too. So each
tenant's rows are copied as that tenant, all in one snapshot, while others go on writing.
"""

from guanxi_core.backup.contents import BackupError, Summary
from guanxi_core.backup.restoring import restore
from guanxi_core.backup.writing import backup

__all__ = ["BackupError", "Summary", "backup", "restore"]
