"""Row 1: reading or writing across tenants: 0 canary leaks over 100 % of the schema.

"0 canary leaks over 100 % of fields, arguments and mutations, generated from introspection; a
foreign id answers exactly as a missing one." The probe of the test kit asks it of every installed
plugin, of the core alone, and of plugins with every kind of everything.
"""

import pytest
from with_append_only import Readings
from with_private_columns import Safes
from with_scopes import Herd

from figures import LONG, Figure
from guanxi_core.custom.definitions import takes_fields
from guanxi_sdk import Plugin
from guanxi_sdk.testing import Boot
from probing import UNDONE, subjects, told

SUBJECTS = subjects(Readings, Safes, large=[Herd])


@pytest.mark.timeout(7200 if LONG else 600)  # a plugin with many models has many documents
@pytest.mark.parametrize("plugins", SUBJECTS.values(), ids=SUBJECTS)
async def test_nobody_reaches_another_tenant(
    guanxi: Boot, plugins: tuple[type[Plugin]], figure: Figure
) -> None:
    given = told(plugins)
    report = await guanxi.probe_tenants(*(plugin() for plugin in plugins), **given)
    figure(1, "0 canary leaks over 100 % of fields, arguments and mutations", str(report))
    assert report.known <= report.used
    assert len(report.callers) == 8
    assert report.done
    assert given["undone"].keys() <= report.refused.keys()
    custom = any(".probed" in name for name in report.known)
    excused = set() if custom else UNDONE[""].keys()
    assert report.refused.keys() - given["undone"].keys() <= excused, report.refused
    kept = [model for plugin in plugins for model in plugin.manifest.models]
    assert custom or not any(takes_fields(model.info) for model in kept)
