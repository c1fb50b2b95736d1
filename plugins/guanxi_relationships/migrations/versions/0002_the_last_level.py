"""The last level of a person is found without sorting."""

from alembic import op

revision = "0002"
down_revision = "0001"
_INDEX = "ix_relationships_level_assessment_last"


def upgrade() -> None:
    op.create_index(
        _INDEX,
        "relationships_level_assessment",
        ["tenant_id", "person_id", "assessed_on", "id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(_INDEX, table_name="relationships_level_assessment")
