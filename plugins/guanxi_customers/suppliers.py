"""Those from whom our company buys."""

from typing import Annotated

from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_customers.organisation import Code, Name, Short
from guanxi_sdk import Model, column


class Supplier(Model, key="code"):
    """A supplier (供应商): a body from which our company buys."""

    code: Mapped[Code]
    """Short code of the supplier, unique in the enterprise."""

    name: Mapped[Name] = column(indexed=True, search=True)
    """Name of the supplier, in Chinese where it has a Chinese one."""

    name_en: Mapped[Name | None] = column(search=True)
    """Name of the supplier in English."""

    contact_name: Mapped[Name | None] = column(search=True)
    """Whom to ask for there."""

    contact_title: Mapped[Name | None]
    """Position of the contact person."""

    country: Mapped[Short | None] = column(indexed=True)
    """Country in which the supplier has its seat."""

    region: Mapped[Short | None]
    """Province, state or region of the supplier's seat."""

    city: Mapped[Short | None]
    """City of the supplier's seat."""

    address: Mapped[str | None]
    """Street address of the supplier's seat."""

    postal_code: Mapped[Short | None]
    """Postal code of the supplier's seat."""

    phone: Mapped[Short | None]
    """Telephone number."""

    fax: Mapped[Short | None]
    """Fax number."""

    email: Mapped[Annotated[str, Meta(max_length=254)] | None]
    """E-mail address."""

    website: Mapped[str | None]
    """Address of the supplier's web site."""
