"""What roles can hold."""

from guanxi_sdk import Permission

READ = Permission("relationships.read", "See decision chains, levels, plans and scores.")
WRITE = Permission("relationships.write", "Keep decision chains, claim levels, make plans.")
REVIEW = Permission("relationships.review", "Review the levels that others claim.")
APPROVE = Permission(
    "relationships.approve", "Approve yearly plans, and confirm what they are said to have done."
)
