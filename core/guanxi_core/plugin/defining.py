"""Verbs of custom fields."""

from uuid import UUID

from guanxi_core.plugin.fields import (
    DEFINE,
    CustomField,
    CustomFieldChange,
    CustomFieldKind,
)
from guanxi_core.plugin.rights import Clearance
from guanxi_sdk import Context, mutation, query


class Defining:
    """Fields that an enterprise adds to models by itself."""

    @mutation(needs=DEFINE)
    async def define_custom_field(
        self,
        ctx: Context,
        model: str,
        name: str,
        kind: CustomFieldKind,
        description: str,
        options: list[str] | None = None,
        clearance: Clearance = Clearance.INTERNAL,
    ) -> CustomField:
        """Add a field to a model such as `Customer`, effective at everybody's next request.

        It is read, written, filtered, sorted, grouped and audited like the model's own. A `CHOICE`
        has options: a value, or value, label in Chinese and label in English, as `GOLD|金|Gold`.

        Args:
            model: Name of the model that gets the field, for instance `Customer`: one whose objects
                clients create or change.
            name: What the field is called in GraphQL: a name in camelCase that the model does not
                have yet, of up to 40 letters and digits, a capital letter counted as two.
            kind: What the values are; a `CHOICE` takes `options`.
            description: What the schema tells of the field: one line of up to 500 characters, not
                blank.
            options: Options of a `CHOICE`, up to 200, and of no other kind: each a value in capital
                letters, digits and `_`, or value, label in Chinese and label in English, as
                `GOLD|金|Gold`.
            clearance: The clearance that it takes to read or write the field, or to filter by it;
                everybody has `INTERNAL`.
        """
        from guanxi_core.custom import defining  # it looks at plugins, this one included

        return await defining.define(ctx, model, name, kind, description, options or (), clearance)

    @mutation(needs=DEFINE)
    async def update_custom_field(
        self,
        ctx: Context,
        field_id: UUID,
        description: str | None = None,
        clearance: Clearance | None = None,
    ) -> CustomField:
        """Change what a custom field says of itself, or who may read it.

        Args:
            field_id: The custom field to change.
            description: What the schema tells of the field from now on, as for `defineCustomField`;
                unchanged when left out.
            clearance: The clearance that the field takes from now on; unchanged when left out. The
                caller must have both it and the former one, for all rows of the model.
        """
        from guanxi_core.custom import defining

        return await defining.update(ctx, field_id, description, clearance)

    @mutation(needs=DEFINE)
    async def archive_custom_field(self, ctx: Context, field_id: UUID) -> CustomField:
        """Hide a custom field at everybody's next request; its values stay.

        Takes the right to read the field in all rows.

        Args:
            field_id: The custom field to hide.
        """
        from guanxi_core.custom import defining

        return await defining.archive(ctx, field_id)

    @mutation(needs=DEFINE)
    async def restore_custom_field(self, ctx: Context, field_id: UUID) -> CustomField:
        """Show an archived custom field again, with the values that it had.

        Args:
            field_id: The archived custom field to show again; refused where something else has its
                name by now.
        """
        from guanxi_core.custom import defining

        return await defining.restore(ctx, field_id)

    @mutation(needs=DEFINE)
    async def purge_custom_field(self, ctx: Context, field_id: UUID) -> int:
        """Delete an archived custom field with its values, for good; answers how many those are.

        Takes the right to read the field in all rows.

        Args:
            field_id: The custom field to delete, which must be archived.
        """
        from guanxi_core.custom import defining

        return await defining.purge(ctx, field_id)

    @query(needs=DEFINE)
    async def custom_field_change(
        self,
        ctx: Context,
        field_id: UUID,
        kind: CustomFieldKind,
        options: list[str] | None = None,
    ) -> CustomFieldChange:
        """What would become of a custom field's values if it were of another kind.

        A value is converted by its text, as an import reads it, and never rounded or cut off. Takes
        the right to read the field in all rows.

        Args:
            field_id: The custom field whose values would be converted.
            kind: What the values are to be; the present kind where only the options change.
            options: All options that a `CHOICE` is to have, written as for `defineCustomField`;
                left out for other kinds.
        """
        from guanxi_core.custom import defining

        return await defining.plan(ctx, field_id, kind, options or ())

    @mutation(needs=DEFINE)
    async def change_custom_field(
        self,
        ctx: Context,
        field_id: UUID,
        kind: CustomFieldKind,
        options: list[str] | None = None,
        lose: int = 0,
    ) -> CustomFieldChange:
        """Give a custom field another kind, or other options, and convert its values.

        Nothing is done when more values would be lost than `lose` says: `customFieldChange` tells
        how many it would be.

        Args:
            field_id: The custom field whose values are converted.
            kind: What the values are to be; the present kind where only the options change.
            options: All options that a `CHOICE` is to have, written as for `defineCustomField`;
                left out for other kinds.
            lose: How many values may be lost, because they do not fit; if more would be, nothing is
                done.
        """
        from guanxi_core.custom import defining

        return await defining.change(ctx, field_id, kind, options or (), lose)
