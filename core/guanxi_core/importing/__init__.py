"""Importing files of other systems: a mapping says which column becomes which attribute.

::

    document = Document.read(Path("customers.toml"))
    plan = plan_import("customers", edition.models.values(), document, custom=edition.custom)
    result = await import_file(platform, access, plan, Path("Customers.csv"))
"""

from guanxi_core.importing.errors import ImportFailed
from guanxi_core.importing.loading import ImportRun, Progress, import_file
from guanxi_core.importing.mapping import Document, Place, steps_of
from guanxi_core.importing.planning import ImportPlan, plan_import, plan_step
from guanxi_core.importing.report import ImportResult, StepResult

__all__ = [
    "Document",
    "ImportFailed",
    "ImportPlan",
    "ImportResult",
    "ImportRun",
    "Place",
    "Progress",
    "StepResult",
    "import_file",
    "plan_import",
    "plan_step",
    "steps_of",
]
