"""One home with a tenant, for tests that serve it: made once for all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving import home_of, install

TENANT = "acme"
#: Installed in the home and switched on, beside the customers.
GREETER = '''
"""Leaves an activity for each new customer."""
import sqlalchemy as sa
from guanxi_customers import Activity, Customer
from guanxi_customers.choices import ActivityKind
from guanxi_sdk import Context, Created, Plugin, mutation, on


class Greeter(Plugin, name="greeter", requires=["customers"]):
    """Leaves an activity for each new customer."""

    @on(Created[Customer])
    async def greet(self, ctx: Context, event: Created[Customer]) -> None:
        """Leave it."""
        await ctx.add(Activity(customer_id=event.id, kind=ActivityKind.CALL, subject="greeted"))

    @mutation()
    async def admit(self, ctx: Context, code: str) -> Customer:
        """Add a customer after a look around, as plugins do it."""
        await ctx.db.scalars(sa.select(Customer).limit(1))
        return await ctx.add(Customer(code=code, name="new"))
'''


@dataclass(frozen=True)
class Home:
    """Where it is, what PYTHONPATH needs, and a token of the tenant."""

    path: Path
    plugins: str
    token: str


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """A home of the tenant ``acme`` with customers; tests that use it are of one xdist group."""
    with home_of({TENANT: ("customers", "greeter")}) as (path, tokens):
        yield Home(path, install(path.parent, "greeter", "Greeter", GREETER), tokens[TENANT])
