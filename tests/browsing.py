"""A page in headless Chromium, driven by its DevTools protocol."""

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from npm import missing
from serving import wait_for

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One tab; what goes wrong in it is kept in ``faults``."""

    def __init__(self, socket: ClientConnection) -> None:
        self.faults: list[str] = []
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if (answer := self._answers.pop(message.get("id"), None)) is not None:
                answer.set_result(message)
            elif message.get("method") == "Runtime.exceptionThrown":
                self.faults.append(str(message["params"]["exceptionDetails"]))
            elif message.get("method") == "Log.entryAdded":
                entry = message["params"]["entry"]
                if entry["level"] == "error":
                    self.faults.append(f"{entry['text']} {entry.get('url', '')}")

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(20):
            message = await answer
        assert "error" not in message, message
        found: dict[str, Any] = message["result"]
        return found

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        told = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str, wanted: Any = True, seconds: float = 20) -> None:
        """Wait until an expression has a value."""
        deadline = time.monotonic() + seconds
        while (found := await self.evaluate(script)) != wanted:
            assert time.monotonic() < deadline, f"{script} is {found!r}, not {wanted!r}"
            await asyncio.sleep(0.03)

    async def look(self, *, width: int = 1280, height: int = 800, **media: str) -> None:
        """Set the window's size and media features, for instance ``prefers_color_scheme``."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=width < 600,
        )  # fmt: skip
        features = [{"name": n.replace("_", "-"), "value": v} for n, v in media.items()]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def speak(self, languages: str) -> None:
        """Set the languages that the browser asks for, for instance ``zh-CN,en``."""
        agent = (await self.call("Browser.getVersion"))["userAgent"]
        await self.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=languages)

    async def open(self, url: str) -> None:
        """Go to an address and wait for it."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState", "complete")

    async def type(self, selector: str, text: str) -> None:
        """Click a field and type into it, in place of what it holds."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        await self.call("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Click an element."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def picture(self, path: Path) -> None:
        """Keep what is to be seen, as PNG."""
        told = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(told["data"]))

    def close(self) -> None:
        """Hear nothing more."""
        self._reader.cancel()


@asynccontextmanager
async def browsing(untried: str) -> AsyncIterator[Page]:
    """A browser with one empty page; ``untried`` says what was not tried without one."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        missing(untried, "there is no chromium on this machine.")
    profile = Path(tempfile.mkdtemp(prefix="guanxi-browser-"))
    browser = await asyncio.create_subprocess_exec(
        chromium, *_FLAGS, f"--user-data-dir={profile}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await asyncio.to_thread(_port, profile / "DevToolsActivePort")
        url = await _target(port)
        async with connect(url, max_size=None, proxy=None) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            yield page
            page.close()
    finally:
        with suppress(ProcessLookupError):
            browser.terminate()
        await browser.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _port(file: Path) -> str:
    """The port that the browser writes down once it listens."""
    wait_for(lambda: file.exists() and file.read_text().strip(), 30)
    return file.read_text().split()[0]


async def _target(port: str) -> str:
    """The address of the page's own socket."""
    async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False, verify=False) as client:
        while True:
            for one in (await client.get(f"http://127.0.0.1:{port}/json/list")).json():
                if one["type"] == "page":
                    return str(one["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)
