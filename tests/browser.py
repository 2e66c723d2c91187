"""Chromium without a window, driven over the WebDriver protocol by the standard library alone."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Browser", "browser_paths", "open_browser"]

_KEYS = {"ArrowDown": "\ue015", "ArrowRight": "\ue014", "Enter": "\ue007", "Tab": "\ue004"}


class Browser(NamedTuple):
    """A session; ``address`` is that of the driver."""

    address: str

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body returns in the page."""
        return _call(f"{self.address}/execute/sync", {"script": script, "args": list(arguments)})

    def open(self, page: Path, width: int = 1200, *, dark: bool = False) -> None:
        """Load a page and wait until it has drawn everything."""
        scheme = "dark" if dark else "light"
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.develop("Emulation.setEmulatedMedia", features=features)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.develop("Emulation.setDeviceMetricsOverride", **size)
        _call(f"{self.address}/url", {"url": page.as_uri()})
        self.wait("return document.body.dataset.ready === 'true'")

    def wait(self, script: str) -> None:
        """Wait until a script returns something true."""
        end = time.monotonic() + 20
        while not self.run(script):
            assert time.monotonic() < end, f"still not true after 20 s: {script}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        actions = [
            {"type": kind, "value": _KEYS.get(key, key)}
            for key in keys
            for kind in ("keyDown", "keyUp")
        ]
        _call(
            f"{self.address}/actions",
            {"actions": [{"type": "key", "id": "keys", "actions": actions}]},
        )

    def point(self, css: str, x: float, y: float, *, click: bool = False) -> None:
        """Move the mouse to shares of the width and height of an element, and click."""
        centred = "{block: 'center', behavior: 'instant'}"
        self.run(f"document.querySelector('{css}').scrollIntoView({centred})")
        box = self.run(f"return document.querySelector('{css}').getBoundingClientRect().toJSON()")
        at = {"x": int(box["x"] + x * box["width"]), "y": int(box["y"] + y * box["height"])}
        actions: list[dict[str, Any]] = [{"type": "pointerMove", "duration": 0, **at}]
        if click:
            actions += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        mouse = {"type": "pointer", "id": "mouse", "actions": actions}
        _call(f"{self.address}/actions", {"actions": [mouse]})

    def develop(self, command: str, **settings: Any) -> Any:
        """Call the developer protocol of Chromium."""
        return _call(f"{self.address}/goog/cdp/execute", {"cmd": command, "params": settings})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What the browser has logged since the last call."""
        return list(_call(f"{self.address}/se/log", {"type": kind}))

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


def browser_paths() -> tuple[str, str] | None:
    """Chromium and its driver, where both are installed."""
    paths = shutil.which("chromium"), shutil.which("chromedriver")
    return (paths[0], paths[1]) if paths[0] and paths[1] else None


@contextlib.contextmanager
def open_browser(chromium: str, driver: str) -> Iterator[Browser]:
    """Start a session and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [driver, f"--port={port}", "--log-level=OFF"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            _wait_for_driver(address)
            made = _call(f"{address}/session", {"capabilities": {"alwaysMatch": _wishes(chromium)}})
            session = f"{address}/session/{made['sessionId']}"
            yield Browser(session)
            _call(session, None, "DELETE")
        finally:
            process.terminate()


def _wishes(chromium: str) -> dict[str, Any]:
    # Without a sandbox, which needs rights that containers lack: the pages are our own.
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    return {
        "browserName": "chrome",
        "goog:chromeOptions": {"binary": chromium, "args": flags},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }


def _wait_for_driver(address: str) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            if _call(f"{address}/status", None, "GET")["ready"]:
                return
        except OSError:
            assert time.monotonic() < end, "the driver of the browser does not answer"
        time.sleep(0.05)


def _call(address: str, body: dict[str, Any] | None, method: str = "POST") -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, data, headers, method=method)
    # Never by way of a proxy: the driver is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.loads(error.read())["value"]["message"]) from None
