"""The system tables that the core writes with SQLAlchemy; migrations make them.

They have a metadata of their own, so that no plugin's migration ever sees them.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

metadata: Final = sa.MetaData()

#: Who did what: one row per changed row, with the fields before and after.
audit_table: Final = sa.Table(
    "guanxi_audit",
    metadata,
    sa.Column("tenant_id", sa.Uuid, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column(
        "created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()
    ),
    sa.Column("actor_id", sa.Uuid),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("row_id", sa.Text),
    sa.Column("changes", JSONB, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("origin", sa.Text),
)

#: Events of committed transactions, waiting for delivery.
outbox_table: Final = sa.Table(
    "guanxi_outbox",
    metadata,
    sa.Column("tenant_id", sa.Uuid, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("payload", JSONB, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default="new"),
)

#: One row per live token. A statement that finds no row with its token's epoch is stale.
stamp_table: Final = sa.Table(
    "guanxi_stamp",
    metadata,
    sa.Column("tenant_id", sa.Uuid, primary_key=True),
    sa.Column("token_id", sa.Uuid, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default="infinity"),
)

#: Terms of the tenant's trade in both languages, from its bundle.
vocabulary_table: Final = sa.Table(
    "guanxi_vocabulary",
    metadata,
    sa.Column("tenant_id", sa.Uuid, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("zh", sa.Text, nullable=False),
    sa.Column("en", sa.Text, nullable=False),
)

#: What texts are found by: see guanxi_core.search.tokens.
search_table: Final = sa.Table(
    "guanxi_search",
    metadata,
    sa.Column("tenant_id", sa.Uuid, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("place", sa.SmallInteger, primary_key=True),
    sa.Column("length", sa.SmallInteger, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("written", sa.Text, nullable=False),
)

#: A value of a custom field of a row, in the column of its kind: see guanxi_core.custom.
custom_value_table: Final = sa.Table(
    "guanxi_custom_value",
    metadata,
    sa.Column("tenant_id", sa.Uuid, primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("text", sa.Text),
    sa.Column("int", sa.Integer),
    sa.Column("float", sa.Float(53)),
    sa.Column("bool", sa.Boolean),
    sa.Column("date", sa.Date),
    sa.Column("datetime", sa.TIMESTAMP(timezone=True)),
)
