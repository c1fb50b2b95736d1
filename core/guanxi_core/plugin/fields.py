"""Custom fields, as an enterprise defines them for itself in GraphQL."""

from typing import Final

from sqlalchemy.orm import Mapped

from guanxi_core.plugin.rights import Clearance
from guanxi_sdk import Choice, Model, Permission, Value, column

DEFINE: Final = Permission("guanxi.fields", "Define fields of the enterprise's own.")


class CustomFieldKind(Choice):
    """What the values of a custom field are."""

    TEXT = "text", "文本", "Text of up to 500 characters"
    INT = "int", "整数", "Whole number"
    FLOAT = "float", "小数", "Number"
    BOOL = "bool", "是否", "Yes or no"
    DATE = "date", "日期", "Date"
    DATETIME = "datetime", "时间", "Date and time"
    CHOICE = "choice", "选项", "One of some options"


class CustomField(
    Model, plugin="guanxi", closed=("create", "update", "archive", "restore"), read=DEFINE.name,
    write=DEFINE.name,
):  # fmt: skip
    """A field that the enterprise added to a model; an archived one is hidden with its values."""

    model: Mapped[str] = column(readonly=True)
    """The model that has the field, for instance `Customer`."""

    name: Mapped[str] = column(readonly=True)
    """What the field is called, for instance `loyaltyNumber`."""

    kind: Mapped[CustomFieldKind] = column(readonly=True)
    """What its values are."""

    description: Mapped[str] = column(readonly=True)
    """What it says, for the readers of the schema."""

    options: Mapped[list[str]] = column(readonly=True)
    """The options of a choice: value, label in Chinese and label in English, as `GOLD|金|Gold`."""

    clearance: Mapped[Clearance] = column(readonly=True)
    """The clearance that it takes to read it."""


class CustomFieldLoss(Value):
    """A value that would be lost."""

    value: str
    """The value as text."""
    reason: str
    """Why it does not fit."""


class CustomFieldChange(Value):
    """What becomes of a field's values when its kind changes."""

    converted: int
    """How many are kept."""
    lost: int
    """How many are lost, because they do not fit."""
    examples: list[CustomFieldLoss]
    """Some of those that would be lost; none once they are lost."""
