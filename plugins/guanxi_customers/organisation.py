"""Our own side: offices and employees."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from msgspec import Meta
from sqlalchemy.orm import Mapped

from guanxi_customers.choices import Line
from guanxi_sdk import Model, column, reference

Code = Annotated[str, Meta(max_length=60)]
Name = Annotated[str, Meta(max_length=200)]
Short = Annotated[str, Meta(max_length=100)]
FiveSteps = Annotated[int, Meta(ge=1, le=5)]


class Office(Model, key="code"):
    """A place of our company from which customers are served (办事处)."""

    code: Mapped[Code]
    """Short code of the office, unique in the enterprise."""

    name: Mapped[Name] = column(indexed=True, search=True)
    """Name of the office, in Chinese where it has a Chinese one."""

    name_en: Mapped[Name | None] = column(search=True)
    """Name of the office in English."""

    time_zone: Mapped[Short] = column(default="Asia/Shanghai")
    """IANA time zone in which the office keeps its days, for instance `Asia/Shanghai`."""

    country: Mapped[Short | None]
    """Country in which the office is."""

    city: Mapped[Short | None]
    """City in which the office is."""

    address: Mapped[str | None]
    """Street address of the office."""


class Employee(Model, key="code", closed=("archive",), subject=True):
    """One of our people (员工). Employees look after customers and never own them."""

    __table_args__ = (
        sa.CheckConstraint("supervisor_id <> id", name="supervisor_is_another"),
        sa.UniqueConstraint("tenant_id", "user_id"),
    )  # fmt: skip

    code: Mapped[Code]
    """Staff number, unique in the enterprise."""

    name: Mapped[Name] = column(indexed=True, search=True)
    """Name of the employee, in Chinese where there is a Chinese one."""

    name_en: Mapped[Name | None] = column(search=True)
    """Name of the employee in English or in Latin letters."""

    title: Mapped[Name | None]
    """Position the employee holds."""

    supervisor_id: Mapped[UUID | None] = reference("self", reverse="reports")
    """The employee to whom this one reports (上级)."""

    office_id: Mapped[UUID | None] = reference(Office, reverse="employees")
    """The office in which the employee works."""

    level: Mapped[FiveSteps | None]
    """Rank inside the company: 1 (staff) to 5 (chief executive)."""

    line: Mapped[Line | None] = column(indexed=True)
    """Customer, product or delivery line (客户线, 产品线, 交付线)."""

    hometown: Mapped[Short | None]
    """Where the employee comes from; a fellow townsman (同乡) makes a good host."""

    dialect: Mapped[Short | None]
    """Home dialect the employee speaks."""

    school: Mapped[Name | None]
    """School or university the employee attended."""

    expertise: Mapped[list[str]] = column(default=())
    """Subjects in which the employee is at home."""

    phone: Mapped[Short | None]
    """Telephone number."""

    email: Mapped[Annotated[str, Meta(max_length=254)] | None]
    """E-mail address."""

    joined_on: Mapped[dt.date | None]
    """Day on which the employee joined the company."""

    user_id: Mapped[str | None] = column(indexed=True, readonly=True)
    """Id of the user as whom the employee uses the platform; `linkEmployee` sets it."""

    notice_filed: Mapped[bool] = column(default=False)
    """Whether the employee has given or received notice to leave."""

    hosting_load: Mapped[Annotated[int, Meta(ge=0)]] = column(default=0)
    """How many receptions the employee is hosting at present."""
