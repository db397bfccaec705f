"""A real JupyterLab in a real browser, for tests: start a server, open a notebook, run cells, look and click.

Everything is private to one `Lab`: port, token, settings, runtime files, browser profile. Nothing is read from or
written to the home folder, and both processes are ended by their own handles.

    with Lab(tmp_path) as lab:
        page = lab.open("live.ipynb", ["import mpidist as md", "run"])
        page.run(0)
        page.run(1, wait=False)
        page.wait_for(lambda: "100" in page.text(".mpidist-progress-text"), "the end of the run")
        page.screenshot(tmp_path / "end.png")
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import nbformat
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

__all__ = ["CHROMEDRIVER", "CHROMIUM", "Lab", "Page", "require_browser"]

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")

_CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
_APPLICATIONS = {
    "jupyterlab": ("--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"),
    "notebook": ("--JupyterNotebookApp.expose_app_in_browser=True",),
}


def require_browser() -> None:
    """Fail (not skip: what is not run is not tested) when the browser is missing."""
    missing = [str(path) for path in (CHROMIUM, CHROMEDRIVER) if not path.exists()]
    if missing:
        pytest.fail(
            f"{' and '.join(missing)} not found. Hint: `make browser` installs Chromium.", pytrace=False
        )


def says(cluster: dict[str, str], *command: str) -> str:
    """What a command prints, in the environment of a cluster."""
    environment = {**os.environ, **cluster}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30, env=environment)
    return done.stdout.strip()


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Lab:
    """A JupyterLab server and a browser, in `folder`; use it as a context manager.

    `theme` is a JupyterLab theme; `settings` adds setting files, as {"@jupyterlab/x:plugin": {...}}; `environment` is
    added to the server's (and so the kernels') environment. `application`: "notebook" is Notebook 7 instead.
    """

    def __init__(
        self,
        folder: Path,
        *,
        theme: str = "JupyterLab Light",
        window: tuple[int, int] = (1400, 1600),
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
        application: Literal["jupyterlab", "notebook"] = "jupyterlab",
    ) -> None:
        self.application = application
        self.notebooks = folder / "notebooks"
        self._private = folder / "jupyter"
        self._window = window
        self._environment = dict(environment or {})
        self._settings: dict[str, Mapping[str, Any]] = {
            "@jupyterlab/apputils-extension:themes": {"theme": theme},
            "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
            **(settings or {}),
        }
        self.port = free_port()
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: subprocess.Popen[bytes] | None = None
        self._driver: webdriver.Chrome | None = None

    @property
    def driver(self) -> webdriver.Chrome:
        """Selenium's handle on the browser."""
        assert self._driver is not None, "use `with Lab(...) as lab:`"
        return self._driver

    def __enter__(self) -> Self:
        require_browser()
        self.notebooks.mkdir(parents=True, exist_ok=True)
        try:
            self._start_server()
            self._start_browser()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_server(self) -> None:
        private = self._private
        environment = {
            **os.environ,
            "HOME": str(private / "home"),
            "IPYTHONDIR": str(private / "ipython"),
            "JUPYTER_CONFIG_DIR": str(private / "config"),
            "JUPYTER_DATA_DIR": str(private / "data"),
            "JUPYTER_RUNTIME_DIR": str(private / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(private / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces"),
            "XDG_CACHE_HOME": str(private / "cache"),
            **self._environment,
        }
        for name in ("home", "ipython", "config", "data", "runtime", "settings", "workspaces", "cache"):
            (private / name).mkdir(parents=True, exist_ok=True)
        for plugin, values in self._settings.items():
            package, name = plugin.split(":")
            path = private / "settings" / package / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        command = [
            sys.executable,
            *("-m", self.application),
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.notebooks}",
            *_APPLICATIONS[self.application],
        ]
        with (private / "server.log").open("wb") as log:
            self._server = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.notebooks,
                start_new_session=True,
            )
        self._wait_for_server()

    def _wait_for_server(self, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._server is not None and self._server.poll() is not None:
                break
            try:
                self.api("api/status")
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"JupyterLab did not start:\n{self.server_log()}")

    def kill_server(self) -> None:
        """As if its machine was switched off: it and its kernels get no chance to say so."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait(5)

    def start_server(self) -> None:
        """After `kill_server`."""
        self._start_server()

    def _start_browser(self) -> None:
        options = Options()
        options.binary_location = str(CHROMIUM)
        for flag in _CHROMIUM_FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={self._private / 'browser'}")
        options.add_argument(f"--window-size={self._window[0]},{self._window[1]}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self._driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER)))

    def api(self, path: str, method: str = "GET") -> Any:
        """Ask the server's REST interface; gives the JSON of the answer (None if it is empty)."""
        request = urllib.request.Request(
            f"{self.url}/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def server_log(self) -> str:
        """What the server wrote (and the kernels with it)."""
        path = self._private / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def open(self, name: str, cells: Sequence[str] | None = None) -> Page:
        """Open a notebook of `self.notebooks` and wait for its kernel; with `cells`, write it first."""
        if cells is not None:
            notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
                cells=[nbformat.v4.new_code_cell(cell) for cell in cells],  # type: ignore[no-untyped-call]
                metadata={
                    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
                },
            )
            nbformat.write(notebook, self.notebooks / name)  # type: ignore[no-untyped-call]
        page = self.open_again(name)
        page.wait_for(page.ready, "the notebook and its kernel", timeout=60)
        return page

    def open_again(self, name: str) -> Page:
        """Open a notebook whose kernel may be busy."""
        # What the page before has to say about its end, when its kernel was taken away, is not this one's.
        self.driver.get("about:blank")
        self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        # "doc" shows the notebook alone; "reset" forgets the layout of an earlier page.
        self.driver.get(f"{self.url}/doc/tree/{name}?token={self.token}&reset")
        page = Page(self)
        page.wait_for(
            lambda: page.script("return !!panel?.sessionContext?.session"), "the notebook", timeout=60
        )
        return page

    @contextmanager
    def before_pages(self, script: str) -> Iterator[None]:
        """Pages that are opened meanwhile run `script` before any of their own."""
        known = self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", known)

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """Meanwhile there is a file "fast" beside the notebooks: what makes their chunks slow looks for it."""
        file = self.notebooks / "fast"
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    def close(self) -> None:
        """End browser, kernels and server; nothing is left running."""
        if self._driver is not None:
            self._driver.quit()
            self._driver = None
        server, self._server = self._server, None
        if server is None:
            return
        if server.poll() is None:
            self.end_kernels()
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(5)

    def end_kernels(self) -> None:
        """End all kernels in order, so that their atexit functions run (an MPI world is taken down there)."""
        try:
            for kernel in self.api("api/kernels"):
                self.api(f"api/kernels/{kernel['id']}", method="DELETE")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return


class Page:
    """The open notebook. Selectors are CSS; cells are numbered from 0."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.driver = lab.driver

    def script(self, body: str, *arguments: object) -> Any:
        """Run JavaScript; `panel` is the notebook's panel, `app` JupyterLab itself."""
        prologue = (
            "const app = window.jupyterapp; const panel = app && app.shell.currentWidget;"
            "const cells = panel && panel.content && panel.content.widgets;"
        )
        return self.driver.execute_script(f"{prologue} {body}", *arguments)

    def ready(self) -> bool:
        """Whether cells can be run."""
        return bool(
            self.script(
                "if (!panel || !panel.sessionContext || !cells) return false;"
                "const session = panel.sessionContext.session;"
                "return !!session && !!session.kernel && session.kernel.status === 'idle' && cells.length > 0;"
            )
        )

    def run(self, number: int, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Run one cell; with `wait`, until it has finished (an error in it fails the test)."""
        self.script(
            "panel.content.activeCellIndex = arguments[0]; panel.content.deselectAll();"
            "app.commands.execute('notebook:run-cell');",
            number,
        )
        self.wait_for(lambda: self.prompt(number) not in ("", " "), f"the start of cell {number}", timeout=20)
        if wait:
            self.wait_for(lambda: not self.busy(number), f"the end of cell {number}", timeout=timeout)
            self.check_cell(number)

    def run_all(self, *, timeout: float = 120.0) -> None:
        """Run all cells and wait for the last one."""
        count = int(self.script("return cells.length"))
        self.script("app.commands.execute('notebook:run-all-cells');")
        last = count - 1
        self.wait_for(lambda: self.prompt(last).strip() not in ("", "*"), "the last cell", timeout=timeout)
        for number in range(count):
            self.check_cell(number)

    def prompt(self, number: int) -> str:
        """What stands between the brackets before a cell: a number, `*` while it runs or waits, or a blank."""
        text = self.script(
            "const node = cells[arguments[0]] && cells[arguments[0]].node.querySelector('.jp-InputPrompt');"
            "return node ? node.textContent : '';",
            number,
        )
        return str(text).strip().removesuffix(":").strip("[]")

    def busy(self, number: int) -> bool:
        """Whether a cell is running or waits for its turn."""
        return self.prompt(number) == "*"

    def check_cell(self, number: int) -> None:
        """Fail if the cell shows a traceback."""
        for output in self.outputs(number):
            if output.get("output_type") == "error":
                trace = "\n".join(output.get("traceback", []))
                pytest.fail(f"cell {number} raised {output.get('ename')}: {output.get('evalue')}\n{trace}")

    def outputs(self, number: int) -> list[dict[str, Any]]:
        """The outputs of a cell, as in the notebook file."""
        found = self.script("return cells[arguments[0]].model.outputs.toJSON()", number)
        return list(found or [])

    def output_text(self, number: int) -> str:
        """All plain text that a cell wrote."""
        parts = [
            str(output.get("text") or output.get("data", {}).get("text/plain") or "")
            for output in self.outputs(number)
        ]
        return "\n".join(parts)

    def interrupt(self) -> None:
        """Press the ■ button of the toolbar."""
        self.click('[data-jp-item-name="interrupt"] jp-button, [data-jp-item-name="interrupt"] button')

    def command(self, name: str, **arguments: object) -> None:
        """Execute a command of JupyterLab, for example `docmanager:save`."""
        self.script("return app.commands.execute(arguments[0], arguments[1])", name, arguments)

    def elements(self, selector: str) -> list[Any]:
        """All elements that match."""
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def text(self, selector: str) -> str:
        """The visible text of all elements that match, with plain spaces; "" if there is none."""
        try:
            words = " ".join(element.text for element in self.elements(selector))
        except StaleElementReferenceException:  # it was redrawn just now
            return self.text(selector)
        return words.replace("\N{NO-BREAK SPACE}", " ").replace("\N{EN SPACE}", " ")

    def attribute(self, selector: str, name: str) -> str:
        """An attribute of the first element that matches ("" if there is none), read in one step."""
        found = self.script(
            "const node = document.querySelector(arguments[0]); return node ? node.getAttribute(arguments[1]) : '';",
            selector,
            name,
        )
        return str(found or "")

    def click(self, selector: str) -> None:
        """Click the first element that matches with the mouse."""
        element = self.elements(selector)[0]
        self.script("arguments[0].scrollIntoView({block: 'center'});", element)
        element.click()

    def screenshot(self, path: Path, selector: str | None = None) -> Path:
        """Write a PNG of the window, or of the first element that matches."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if selector is None:
            self.driver.save_screenshot(str(path))
        else:
            self.elements(selector)[0].screenshot(str(path))
        return path

    def console(self, level: str = "SEVERE") -> list[str]:
        """What the page wrote to the browser's console at this level since the last call."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        messages = [str(entry["message"]) for entry in entries if entry["level"] == level]
        # Chromium's remark when a page with an unsaved notebook is left; anywidget's when a model was closed, or a page had too much to do,
        # before the model's script ran (see mpidist_widgets.scripted).
        known = ("beforeunload", "[anywidget] Failed to initialize model.")
        return [message for message in messages if not any(words in message for words in known)]

    def network(self, *, upload: float = -1, offline: bool = False) -> None:
        """How fast the browser may send, bytes/s, and whether it reaches anything at all."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": upload}
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def drop(self, selector: str, *files: Path) -> None:
        """Drag files of this machine onto the first element that matches, and let them go."""
        box = self.elements(selector)[0].rect
        where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "data": data, **where})

    def heap(self) -> float:
        """The used part of the page's heap after garbage collections, MB."""
        for _ in range(3):  # what one collection frees may free more
            self.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        found = self.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})
        return float(found["usedSize"]) / 1e6

    def contrast(self, selector: str) -> float:
        """The contrast of a text with the background of the notebook. Source: WCAG 2.2, "contrast ratio"."""
        colours = self.script(
            "const node = document.querySelector(arguments[0]); const style = getComputedStyle(node);"
            "const ink = node instanceof SVGElement ? style.fill : style.color;"
            "const paper = getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor;"
            "return [ink, paper].map((text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number));",
            selector,
        )
        bright, dark = sorted((luminance(colour) for colour in colours), reverse=True)
        return (bright + 0.05) / (dark + 0.05)

    def wait_for(self, condition: Callable[[], object], what: str, timeout: float = 30.0) -> Any:
        """Poll until `condition()` is true and return its value; else fail with what the page shows."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        path = self.screenshot(self.lab.notebooks.parent / "failed.png")
        log = self.lab.server_log()[-3000:]
        console = "\n".join(self.console())
        return pytest.fail(
            f"after {timeout:.0f} s still waiting for {what}. Screenshot: {path}\n{console}\n{log}",
            pytrace=True,
        )


def luminance(colour: list[float]) -> float:
    """Relative luminance of an sRGB colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
