"""GraphQL over HTTP to the letter: all audits of the npm package ``graphql-http`` pass."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from with_misbehaviour import Desk

import npm
from listening import asking

AUDITS = Path(__file__).parent / "audits"
UNTRIED = "GraphQL over HTTP was not audited"


async def test_all_audits_pass(guanxi: Any) -> None:
    node = npm.program("node", UNTRIED)
    folder = await asyncio.to_thread(npm.packages, AUDITS, UNTRIED)
    app = await guanxi(Desk())
    async with asking(app) as client:
        url, token = f"{client.base_url}/graphql", await app.token()
        auditing = await asyncio.create_subprocess_exec(
            node, str(AUDITS / "audit.cjs"), str(folder), url, token,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await asyncio.wait_for(auditing.communicate(), 60)
    assert auditing.returncode == 0, errors.decode()
    results = json.loads(output)
    assert [result for result in results if result["status"] != "ok"] == []
    assert len({result["id"] for result in results}) == 61


@pytest.mark.parametrize("ci", ["", "1"])
def test_without_node_it_is_said(ci: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUANXI_CI", ci)
    monkeypatch.setattr(npm, "PATH", "")
    outcome = pytest.fail.Exception if ci else pytest.skip.Exception
    with pytest.raises(outcome, match="not audited: there is no node on this machine"):
        npm.program("node", UNTRIED)
