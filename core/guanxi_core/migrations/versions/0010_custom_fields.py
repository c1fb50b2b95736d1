"""Fields that an enterprise defines for itself: what they are, and a typed row for each value.

A value names its field, and the kind and the revision that the field has, so that nobody who still
has a former kind, or former options, in mind writes a value of them: the reference leads nowhere.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

#: The column that holds the values of each kind.
COLUMNS = {
    "text": "text", "int": "integer", "float": "double precision", "bool": "boolean",
    "date": "date", "datetime": "timestamptz",
}  # fmt: skip
KINDS = ", ".join(f"'{kind}'" for kind in (*COLUMNS, "choice"))
FILLED = " ".join(f"WHEN '{name}' THEN \"{name}\" IS NOT NULL" for name in COLUMNS)

#: Equal for what takes the same values. Definition.revision is the same in Python.
REVISION = """
    guanxi_custom_revision(kind text, options text[])
    RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
        SELECT ('x' || left(md5(concat_ws(E'\\n', kind, array_to_string(options, E'\\n'))), 8)
            )::bit(32)::integer
    $$
"""

TABLES = {
    "guanxi_custom_field": f"""
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        model text NOT NULL,
        name text NOT NULL,
        field text COLLATE "C" NOT NULL GENERATED ALWAYS AS (model || '.' || name) STORED,
        kind text NOT NULL CONSTRAINT ck_guanxi_custom_field_kind CHECK (kind IN ({KINDS})),
        description text NOT NULL,
        options text[] NOT NULL,
        revision integer NOT NULL
            GENERATED ALWAYS AS (public.guanxi_custom_revision(kind, options)) STORED,
        clearance text NOT NULL CONSTRAINT ck_guanxi_custom_field_clearance
            CHECK (clearance IN ('INTERNAL', 'CONFIDENTIAL', 'SECRET')),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        version integer NOT NULL DEFAULT 1,
        archived_at timestamptz,
        CONSTRAINT pk_guanxi_custom_field PRIMARY KEY (tenant_id, id),
        CONSTRAINT uq_guanxi_custom_field_tenant_id_model UNIQUE (tenant_id, model, name),
        CONSTRAINT uq_guanxi_custom_field_tenant_id_field UNIQUE (tenant_id, field, kind, revision),
        CONSTRAINT fk_guanxi_custom_field_tenant_id
            FOREIGN KEY (tenant_id) REFERENCES guanxi_tenant (id) ON DELETE CASCADE
    """,
    "guanxi_custom_value": f"""
        tenant_id uuid NOT NULL,
        field text COLLATE "C" NOT NULL,
        id uuid NOT NULL,
        kind text NOT NULL,
        revision integer NOT NULL,
        {", ".join(f'"{name}" {type_}' for name, type_ in COLUMNS.items())},
        CONSTRAINT pk_guanxi_custom_value PRIMARY KEY (tenant_id, field, id),
        CONSTRAINT ck_guanxi_custom_value_kind CHECK (
            num_nonnulls({", ".join(f'"{name}"' for name in COLUMNS)}) = 1
            AND CASE kind WHEN 'choice' THEN "text" IS NOT NULL {FILLED} END
        ),
        CONSTRAINT fk_guanxi_custom_value_field FOREIGN KEY (tenant_id, field, kind, revision)
            REFERENCES guanxi_custom_field (tenant_id, field, kind, revision)
            ON DELETE CASCADE DEFERRABLE
    """,
}
INDEXES = (
    "CREATE INDEX ix_guanxi_custom_field_created_at "
    "ON guanxi_custom_field (tenant_id, created_at, id)",
    *(
        f"CREATE INDEX ix_guanxi_custom_value_{name} ON guanxi_custom_value "
        f'(tenant_id, field, "{name}", id) WHERE "{name}" IS NOT NULL'
        for name in COLUMNS
    ),
)

FUNCTION = "guanxi_custom_fields(tenant uuid)"
#: Equal for tenants who defined the same, so that they share an edition.
BODY = """
    RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        former text := current_setting('guanxi.tenant', true);
        found jsonb;
    BEGIN
        PERFORM set_config('guanxi.tenant', tenant::text, true);
        SELECT coalesce(jsonb_agg(jsonb_build_object('model', f.model, 'name', f.name,
            'kind', f.kind, 'description', f.description, 'options', f.options,
            'clearance', f.clearance) ORDER BY f.field), '[]') INTO found
        FROM public.guanxi_custom_field f WHERE f.tenant_id = tenant AND f.archived_at IS NULL;
        PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
        RETURN found;
    END $$
"""


def upgrade() -> None:
    op.execute(f"CREATE FUNCTION {REVISION}")
    for name, body in TABLES.items():
        op.execute(f"CREATE TABLE {name} ({body})")
    for statement in INDEXES:
        op.execute(statement)
    op.execute(f"CREATE FUNCTION {FUNCTION} {BODY}")
    op.execute(f"REVOKE ALL ON FUNCTION {FUNCTION} FROM PUBLIC")
    # Before the statement, as for all that decides about rights: the tenant's row is locked first.
    op.execute(
        "CREATE TRIGGER guanxi_rights_changed BEFORE INSERT OR UPDATE OR DELETE "
        "ON guanxi_custom_field FOR EACH STATEMENT EXECUTE FUNCTION guanxi_rights_changed()"
    )


def downgrade() -> None:
    op.execute(f"DROP FUNCTION {FUNCTION}")
    for name in reversed(TABLES):
        op.execute(f"DROP TABLE {name}")
    op.execute("DROP FUNCTION guanxi_custom_revision(text, text[])")
