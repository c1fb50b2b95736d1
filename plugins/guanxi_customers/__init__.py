"""Customers (客户): who they are, who looks after them, what they bought and what was done."""

from guanxi_customers.activities import Activity, ActivityParticipant
from guanxi_customers.choices import (
    ActivityKind,
    ActivityStatus,
    CreditGrade,
    DecisionRole,
    IndustryClass,
    Lifecycle,
    Line,
    Owner,
)
from guanxi_customers.customers import Customer, Department, Person
from guanxi_customers.organisation import Employee, Office
from guanxi_customers.plugin import STEWARD, Customers
from guanxi_customers.purchases import Purchase
from guanxi_customers.stewardship import (
    CoStewardAdded,
    CoStewardshipEnded,
    StewardAssigned,
    Stewardship,
)
from guanxi_customers.stewardship import add_beside as add_co_steward
from guanxi_customers.stewardship import assign as assign_steward
from guanxi_customers.stewardship import end_beside as end_co_stewardship
from guanxi_customers.stewardship import in_force as steward_in_force
from guanxi_customers.suppliers import Supplier

__all__ = [
    "STEWARD",
    "Activity",
    "ActivityKind",
    "ActivityParticipant",
    "ActivityStatus",
    "CoStewardAdded",
    "CoStewardshipEnded",
    "CreditGrade",
    "Customer",
    "Customers",
    "DecisionRole",
    "Department",
    "Employee",
    "IndustryClass",
    "Lifecycle",
    "Line",
    "Office",
    "Owner",
    "Person",
    "Purchase",
    "StewardAssigned",
    "Stewardship",
    "Supplier",
    "add_co_steward",
    "assign_steward",
    "end_co_stewardship",
    "steward_in_force",
]
