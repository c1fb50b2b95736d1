"""A plugin with one Python field, for the workload that measures what such a field costs."""

from collections.abc import Sequence

from guanxi_customers import Customer
from guanxi_sdk import Context, NoSettings, Plugin, field


class Benchmark(Plugin[NoSettings], name="benchmark", requires=["customers"]):
    """One Python field of customers."""

    @field(Customer, columns=("code", "name"))
    async def label(self, ctx: Context, customers: Sequence[Customer]) -> list[str]:
        """Code and name in one line."""
        return [f"{customer.code} {customer.name}" for customer in customers]
