"""What the relationships plugin asks plugins that know more. They answer with SQL, not with rows.

So one statement judges all customers, and hooks do no I/O.
"""

from typing import Any

import sqlalchemy as sa

from guanxi_customers import Customer
from guanxi_sdk import hookspec


class RelationshipHooks:
    """Hooks that other plugins may answer."""

    @hookspec("first", closed=True)
    def profile_completeness(self, customer: type[Customer]) -> sa.ColumnElement[float] | None:
        """Say how much of a customer's profile is filled, 0 to 1 (domain rule F13).

        The answer is an expression over ``customer``, a correlated subquery for instance:
        ``select(…).where(Profile.customer_id == customer.id).scalar_subquery()``. It is asked when
        a handover is looked at or completed, and shown to whoever may read relationships; while
        nobody answers, no handover completes.
        """
        raise AssertionError("a specification is never called")

    @hookspec("first", closed=True)
    def signed_revenue(self) -> sa.Select[Any] | None:
        """Say who signed which revenue (domain rule C5, 27).

        The answer is a SELECT with the columns ``customer_id``, ``employee_id`` (of the signer),
        ``amount_minor``, ``amount_currency`` and ``signed_on``. While nobody answers, whoever took
        an order signed it.
        """
        raise AssertionError("a specification is never called")

    @hookspec("first", closed=True)
    def need_assessments(self) -> sa.Select[Any] | None:
        """Say whose needs were assessed, and which (domain rules 000-17, C5, 54).

        The answer is a SELECT with the columns ``person_id``, ``maslow`` (the level of the need, 1
        to 5) and ``assessed_on``. It is asked when the tasks of a plan are looked at; while nobody
        answers, no needs are asked for.
        """
        raise AssertionError("a specification is never called")
