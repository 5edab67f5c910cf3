"""A headless Chromium, driven over the W3C WebDriver protocol with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DRIVERS = ("chromedriver", "chromium.chromedriver")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
STARTED = re.compile(r"started successfully on port (\d+)")


def programs() -> tuple[str, str] | str:
    """Paths of a browser and its driver, or what is missing."""
    browser, driver = ([found for name in names if (found := shutil.which(name))] for names in (BROWSERS, DRIVERS))
    if not browser or not driver:
        lacking = " and ".join(n for n, found in (("Chromium", browser), ("chromedriver", driver)) if not found)
        return f"no {lacking} on the path (Debian: apt-get install chromium chromium-driver)"
    return browser[0], driver[0]


class Browser:
    """One window; use it as a context manager. ``errors`` has what the console complained of."""

    def __init__(self, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        found = programs()
        assert not isinstance(found, str), found
        browser, driver = found
        self._process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True, env=_alone())
        self._session = ""
        try:
            self._root = f"http://127.0.0.1:{self._port()}"
            flags = [*FLAGS, f"--window-size={width},{height}", *(["--force-dark-mode"] if dark else [])]
            wanted = {
                "browserName": "chrome", "goog:chromeOptions": {"binary": browser, "args": flags},
                "goog:loggingPrefs": {"browser": "ALL"},
            }  # fmt: skip
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{made['sessionId']}"
            self.size(width, height)
            if dark:
                self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._session:
            self._call("DELETE", self._session)
            self._session = ""
        self._process.terminate()
        self._process.wait(timeout=30)

    def open(self, path: Path) -> None:
        """Load a file, and wait until all of it is there."""
        self._call("POST", f"{self._session}/url", {"url": path.resolve().as_uri()})
        for _ in range(600):  # the call may come back before a large page is all there
            if self.run("return document.readyState") == "complete":
                return
            time.sleep(0.1)
        raise RuntimeError(f"{path.name} does not load")

    def run(self, script: str, *arguments: object) -> object:
        """The value that ``script`` returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def click(self, css: str) -> None:
        """A real click on the first element that ``css`` selects: it fails where something lies over it."""
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": css})
        self._call("POST", f"{self._session}/element/{next(iter(found.values()))}/click", {})

    def type(self, css: str, keys: str) -> None:
        found = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": css})
        self._call("POST", f"{self._session}/element/{next(iter(found.values()))}/value", {"text": keys})

    def cdp(self, command: str, **parameters: object) -> object:
        """A command of the DevTools protocol."""
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width: int, height: int) -> None:
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def scripts(self, on: bool) -> None:
        self.cdp("Emulation.setScriptExecutionDisabled", value=not on)

    def errors(self) -> list[str]:
        found = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in found if entry["level"] == "SEVERE"]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def _port(self) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if match := STARTED.search(line):
                return int(match.group(1))
        raise RuntimeError("chromedriver did not start")

    def _call(self, method: str, path: str, body: object = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {json.loads(error.read())['value']['message'][:400]}") from None


def _alone() -> dict[str, str]:
    """The environment without proxies: the driver talks to its browser on this machine."""
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
