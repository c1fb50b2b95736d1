"""Values that columns, arguments and results share: money, choices, structured values."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import StrEnum
from typing import ClassVar, Self, dataclass_transform

import msgspec

from guanxi_sdk.errors import Invalid

#: ISO 4217 currencies whose minor unit is not a hundredth.
MINOR_DIGITS = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI",
         "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}  # fmt: skip
_LARGEST = 10**17  # minor units; sums of a hundred such amounts still fit into 64 bits
_LONGEST = 60  # characters of an amount
_EXACT = Context(prec=_LONGEST)


def is_currency(code: str) -> bool:
    """Whether ``code`` has the form of an ISO 4217 code: three capital letters."""
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the smallest unit of its ISO 4217 currency (domain rule C)."""

    minor: int
    currency: str

    @property
    def amount(self) -> str:
        """The amount as a decimal string in major units, for instance ``'12.30'``."""
        digits = MINOR_DIGITS.get(self.currency, 2)
        return str(Decimal(self.minor).scaleb(-digits)) if digits else str(self.minor)

    @classmethod
    def parse(cls, amount: str, currency: str, *, rounded: bool = False) -> Self:
        """Read a decimal string; ``rounded`` allows surplus digits and rounds half up.

        Raises :class:`Invalid` for anything but plain ASCII digits with an optional sign and
        point, for more digits than the currency has, and for amounts beyond 10^17 minor units.
        """
        if not is_currency(currency):
            raise Invalid("currency", "is not an ISO 4217 code such as CNY")
        if not amount.isascii() or any(c not in "+-.0123456789" for c in amount):
            raise Invalid("amount", "is not a decimal number such as 12.30")
        if len(amount) > _LONGEST:
            raise Invalid("amount", "has too many digits")
        try:
            scaled = Decimal(amount).scaleb(MINOR_DIGITS.get(currency, 2), _EXACT)
        except InvalidOperation:
            raise Invalid("amount", "is not a decimal number such as 12.30") from None
        if abs(scaled) > _LARGEST:
            raise Invalid("amount", "is too large")
        whole = scaled.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT)
        if whole != scaled and not rounded:
            raise Invalid("amount", f"has more decimals than {currency} knows")
        return cls(int(whole), currency)


class Choice(StrEnum):
    """A closed list of values with a label in Chinese and in English.

    ::

        class Tier(Choice):
            S = "S", "战略", "Strategic"
    """

    zh: str
    en: str

    def __new__(cls, value: str, zh: str = "", en: str = "") -> Self:
        """Keep both labels beside the stored value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.zh = zh or value
        member.en = en or value
        return member


@dataclass_transform(frozen_default=True, kw_only_default=True)
class _KeywordStruct(msgspec.StructMeta):
    """msgspec does not inherit ``kw_only``; this applies both to every subclass."""

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, object],
        *,
        entity: str | None = None,
    ) -> type:
        """Create a frozen struct with keyword-only fields."""
        if entity is not None:
            namespace["__entity__"] = entity
        made: type = super().__new__(mcs, name, bases, namespace, frozen=True, kw_only=True)
        return made


class Value(msgspec.Struct, metaclass=_KeywordStruct):
    """A structured result or an embedded value; becomes a GraphQL object type."""


class Event(msgspec.Struct, metaclass=_KeywordStruct):
    """A past fact, delivered after commit. Carries ids, never rows.

    Events of one entity reach a handler one after the other, as they were committed. The entity is
    the first field of type UUID, or the one that is named: ``class NoteAdded(Event, entity="to")``.
    """

    __entity__: ClassVar[str | None] = None


class Settings(msgspec.Struct, metaclass=_KeywordStruct):
    """What a tenant may adjust; each field is described with ``Annotated[…, Meta(…)]``."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A right that roles can hold: ``Permission("notes.read", "See the notes.")``."""

    name: str
    description: str
