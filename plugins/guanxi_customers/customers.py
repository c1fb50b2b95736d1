"""The customer and the people inside it."""

from typing import Annotated
from uuid import UUID

from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_customers.choices import CreditGrade, DecisionRole, IndustryClass, Lifecycle
from guanxi_customers.organisation import Code, FiveSteps, Name, Office, Short
from guanxi_sdk import Confidentiality, Model, column, reference


class Customer(Model, key="code"):
    """A customer (客户): a body that buys from us or may. The company owns it, no employee does."""

    code: Mapped[Code]
    """Short code of the customer, unique in the enterprise."""

    name: Mapped[Name] = column(indexed=True, search=True)
    """Name of the customer, in Chinese where it has a Chinese one."""

    name_en: Mapped[Name | None] = column(search=True)
    """Name of the customer in English."""

    industry_class: Mapped[IndustryClass] = column(indexed=True, default=IndustryClass.OTHER)
    """What kind of body the customer is (行业分类; domain rule 004-06)."""

    lifecycle: Mapped[Lifecycle] = column(indexed=True, default=Lifecycle.POTENTIAL)
    """How far the relation has come: potential, actual, loyal or lost."""

    office_id: Mapped[UUID | None] = reference(Office, reverse="customers")
    """The office that serves the customer."""

    arrears_days: Mapped[Annotated[int, Meta(ge=0, le=100_000)] | None]
    """Days for which the oldest open payment is overdue; 0 without arrears, null when unknown."""

    credit: Mapped[CreditGrade | None]
    """How reliably the customer pays; null when unknown."""

    country: Mapped[Short | None]
    """Country in which the customer has its seat."""

    region: Mapped[Short | None]
    """Province, state or region of the customer's seat."""

    city: Mapped[Short | None]
    """City of the customer's seat."""

    address: Mapped[str | None]
    """Street address of the customer's seat."""

    postal_code: Mapped[Short | None]
    """Postal code of the customer's seat."""

    phone: Mapped[Short | None]
    """Telephone number of the switchboard."""

    fax: Mapped[Short | None]
    """Fax number."""

    website: Mapped[str | None]
    """Address of the customer's web site."""

    remarks: Mapped[Annotated[str, Meta(max_length=10_000)] | None]
    """Anything else worth knowing that is not confidential."""


class Department(Model, within="customer"):
    """A department of a customer (客户部门)."""

    customer_id: Mapped[UUID] = reference(Customer, reverse="departments")
    """The customer to whom the department belongs."""

    name: Mapped[Name] = column(indexed=True, search=True)
    """Name of the department."""

    name_en: Mapped[Name | None] = column(search=True)
    """Name of the department in English."""

    in_scope: Mapped[bool] = column(default=True)
    """Whether general relationships (普遍客户关系) are to cover the department (domain rule F5)."""


class Person(Model, plural="persons", key="code", within="customer", subject=True):
    """A person who works for a customer (客户人员)."""

    code: Mapped[Code | None]
    """Short code of the person, unique in the enterprise; imports match by it."""

    customer_id: Mapped[UUID] = reference(Customer, reverse="persons")
    """The customer for whom the person works."""

    department_id: Mapped[UUID | None] = reference(Department, reverse="persons")
    """The department in which the person works."""

    name: Mapped[Name] = column(indexed=True, search=True)
    """Name of the person, in Chinese where there is a Chinese one."""

    name_en: Mapped[Name | None] = column(search=True)
    """Name of the person in English or in Latin letters."""

    title: Mapped[Name | None]
    """Position the person holds."""

    rank: Mapped[FiveSteps | None] = column(indexed=True)
    """Rank inside the customer: 1 (staff) to 5 (chief executive)."""

    role: Mapped[DecisionRole] = column(indexed=True, default=DecisionRole.NONE)
    """Part the person plays in the customer's decisions (决策链; domain rule B4)."""

    public_official: Mapped[bool] = column(default=False)
    """Whether gifts and hospitality need approval beforehand (domain rule C4, invariant 6)."""

    hometown: Mapped[Short | None]
    """Where the person comes from."""

    dialect: Mapped[Short | None]
    """Home dialect the person speaks."""

    school: Mapped[Name | None]
    """School or university the person attended."""

    phone: Mapped[Short | None] = column(confidentiality=Confidentiality.CONFIDENTIAL)
    """Telephone number."""

    email: Mapped[Annotated[str, Meta(max_length=254)] | None] = column(
        confidentiality=Confidentiality.CONFIDENTIAL
    )
    """E-mail address."""
