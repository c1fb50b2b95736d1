"""Erasing people: users that are stubs, their tokens, and stored replies that tell of somebody."""

from alembic import op

revision = "0006"
down_revision = "0005"

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

FUNCTIONS = {
    # Ends all tokens of a user for good and takes their labels. A session keeps its row, without
    # the subject's name, so that no later JWT of the same subject brings the user back.
    "guanxi_erase_tokens(tenant uuid, owner uuid)": """
        RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            done integer;
        BEGIN
            PERFORM FROM public.guanxi_tenant WHERE id = tenant FOR NO KEY UPDATE;
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            UPDATE public.guanxi_token t
            SET label = '', revoked_at = coalesce(t.revoked_at, now())
            WHERE t.tenant_id = tenant AND t.user_id = owner;
            GET DIAGNOSTICS done = ROW_COUNT;
            DELETE FROM public.guanxi_stamp s USING public.guanxi_token t
            WHERE s.tenant_id = tenant AND t.tenant_id = tenant AND t.user_id = owner
            AND s.token_id = t.id;
            UPDATE public.guanxi_session s SET subject = 'erased-' || s.token_id
            WHERE s.tenant_id = tenant AND s.user_id = owner;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN done;
        END $$
    """,
    # The reply says that it was erased; the key stays, so that the mutation is not done twice.
    "guanxi_erase_replies(tenant uuid, owners uuid[], keys text[], steps integer[])": """
        RETURNS integer LANGUAGE plpgsql AS $$
        DECLARE
            former text := current_setting('guanxi.tenant', true);
            done integer;
        BEGIN
            PERFORM set_config('guanxi.tenant', tenant::text, true);
            UPDATE public.guanxi_idempotency i SET body = 'null', errors = convert_to(
                '[{"message":"This was done; what it answered was erased.",'
                || '"extensions":{"code":"ERASED"}}]', 'UTF8')
            FROM unnest(owners, keys, steps) AS r (owner_id, key, step)
            WHERE i.tenant_id = tenant AND i.owner_id = r.owner_id AND i.key = r.key
            AND i.step = r.step;
            GET DIAGNOSTICS done = ROW_COUNT;
            PERFORM set_config('guanxi.tenant', coalesce(former, ''), true);
            RETURN done;
        END $$
    """,
}


def upgrade() -> None:
    op.execute("ALTER TABLE guanxi_user ADD COLUMN erased_at timestamptz")
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body} {DEFINER}")
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")


def downgrade() -> None:
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")
    op.execute("ALTER TABLE guanxi_user DROP COLUMN erased_at")
