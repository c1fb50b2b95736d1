"""What roles can hold."""

from guanxi_sdk import Permission
from guanxi_tiers import schemes

WRITE = Permission("tiers.write", "Assess customers and classify them.")
OVERRIDE = Permission("tiers.override", "Set a tier by hand, and waive the cap for arrears.")
READ = Permission("tiers.read", "See tiers, why they are so, what they require, and coverage.")
RULES = Permission(schemes.RULES, "Decide by which rules tiers are decided.")
