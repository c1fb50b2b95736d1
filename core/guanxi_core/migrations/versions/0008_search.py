"""What texts are found by: tokens, and whose rows have all of theirs.

Under row-level security an index helps only operators that are LEAKPROOF, so that a search has to
be a range of one column.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = {
    "guanxi_search": """
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        field text COLLATE "C" NOT NULL,
        place smallint NOT NULL,
        length smallint NOT NULL,
        token text COLLATE "C" NOT NULL,
        written text COLLATE "C" NOT NULL,
        CONSTRAINT pk_guanxi_search PRIMARY KEY (tenant_id, id, field, place)
    """,
    # The fields whose rows have all their tokens, and of which form those are.
    "guanxi_searched": """
        field text COLLATE "C" NOT NULL,
        form integer NOT NULL,
        CONSTRAINT pk_guanxi_searched PRIMARY KEY (field)
    """,
}
INDEX = "CREATE INDEX ix_guanxi_search_token ON guanxi_search (tenant_id, field, token)"


def upgrade() -> None:
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body})")
    op.execute(INDEX)


def downgrade() -> None:
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
