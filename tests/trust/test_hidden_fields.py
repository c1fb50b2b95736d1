"""Row 2: a hidden field used as an oracle (filter, sort, search, group): 0 distinguishable answers.

What somebody may not read, by a permission, a clearance or the scope of a role, makes no difference
to any answer they get. The probe of the test kit asks it of every installed plugin and of plugins
with every kind of everything.
"""

import json
import re

import pytest
from with_private_columns import Safes
from with_scopes import Flock, Herd, Shepherd

from figures import LONG, Figure
from guanxi_graphql.execute.engine import Engine
from guanxi_sdk import Confidentiality, Plugin
from guanxi_sdk.testing import Boot
from guanxi_sdk.testing.tokens import make_token
from probing import subjects, told

SUBJECTS = subjects(Safes, large=[Herd])
#: The scopes that the policies of plugins know: they hold for whoever requires these plugins, too.
SCOPES = {
    "customers": ("own", "team", "office"), "webhooks": ("own", "team", "office"),
    "herd": ("own", "team"),
}  # fmt: skip


@pytest.mark.timeout(7200 if LONG else 600)  # a plugin with many models has many documents
@pytest.mark.parametrize("plugins", SUBJECTS.values(), ids=SUBJECTS)
async def test_hidden_fields_stay_hidden(
    guanxi: Boot, plugins: tuple[type[Plugin]], figure: Figure
) -> None:
    report = await guanxi.probe_hidden_fields(*(plugin() for plugin in plugins), **told(plugins))
    figure(2, "0 distinguishable answers about what is hidden", str(report))
    assert report.unscoped is None
    tried = {name for name in report.hidden if name.startswith("the scope ")}
    names = {name for plugin in plugins for name, _ in plugin.manifest.requires}
    names |= {plugin.manifest.name for plugin in plugins}
    known = {scope for name in names for scope in SCOPES.get(name, ())}
    assert tried == {f"the scope {scope}" for scope in known if LONG or scope == "own"}
    for plugin in plugins:
        assert f"{plugin.manifest.name}.read" in report.hidden


async def test_many_errors_of_one_place_are_one(guanxi: Boot) -> None:
    """One FORBIDDEN error for each path, however many rows there are, and no index in it."""
    app = await guanxi(Herd())
    token = await make_token(
        app.platform.pool, app.tenant, ["herd.read"], clearance=Confidentiality.INTERNAL
    )
    for name in ("a", "b"):
        shepherd = await app.add(Shepherd(name=name))
        await app.add(Flock(name=name, illness="cough", shepherd_id=shepherd.id))
    access = await app.platform.authenticate(token)
    document = "{ shepherds { edges { node { flocks { edges { node { worth { amount } illness }"
    reply = await Engine(app.platform).execute(access, document + " } } } } } }", {}, reason="why")
    paths = [error["path"] for error in json.loads(reply.body)["errors"]]
    assert len(paths) == len({tuple(path) for path in paths}) == 2
    assert not re.search(r"\d", json.dumps(paths))
