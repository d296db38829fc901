"""Stand-ins for OpenAI-compatible engines, which answer only when told to, and vllm-router before them.

It makes the loads that a router sees exact: a turn is in flight from ``send`` to ``finish``.
"""

import json
import queue
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

START_S = 60.0  # that the router may take to be ready
TURN_S = 30.0  # that a turn may take from client to engine, or back


class StandIns:
    """Engines that record which turn came to which of them and hold it until it is finished."""

    def __init__(self, count: int) -> None:
        self.arrived: queue.Queue[tuple[int, str]] = queue.Queue()  # engine, turn
        self._finished: dict[str, threading.Event] = {}
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler(n)) for n in range(count)]
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{server.server_port}" for server in self._servers]

    def finish(self, turn: str) -> None:
        self._finished.pop(turn).set()

    def close(self) -> None:
        for turn in list(self._finished):
            self.finish(turn)
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _handler(self, number: int) -> type[BaseHTTPRequestHandler]:
        stand_ins = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({"data": [{"id": "stand-in", "object": "model"}], "object": "list"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != "/v1/completions":
                    tokens = [ord(character) for character in body["prompt"]]
                    self._answer([{"request_id": "render", "token_ids": tokens, "sampling_params": {}}])
                    return
                finished = stand_ins._finished.setdefault(body["user"], threading.Event())
                stand_ins.arrived.put((number, body["user"]))
                finished.wait(10 * TURN_S)
                size = len(body["prompt"])
                usage = {"prompt_tokens": size, "completion_tokens": 1, "total_tokens": size + 1}
                choice = {"index": 0, "text": "a", "finish_reason": "stop"}
                self._answer({"id": "turn", "object": "text_completion", "choices": [choice], "usage": usage})

            def _answer(self, value: object) -> None:
                payload = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class Router:
    """vllm-router before stand-ins: sends turns one at a time, and says where each went."""

    def __init__(self, url: str, engines: StandIns) -> None:
        self._url = url
        self._engines = engines
        self._clients: dict[str, threading.Thread] = {}

    def send(self, turn: str, *, session: str, prompt: str) -> int:
        """Send a turn and return the number of the engine that it came to."""
        client = threading.Thread(target=self._post, args=(turn, session, prompt), daemon=True)
        self._clients[turn] = client
        client.start()
        engine, arrived = self._engines.arrived.get(timeout=TURN_S)
        assert arrived == turn
        return engine

    def finish(self, turn: str) -> None:
        """Let a turn end, and wait until its client has the answer."""
        self._engines.finish(turn)
        self._clients.pop(turn).join(TURN_S)

    def _post(self, turn: str, session: str, prompt: str) -> None:
        body = json.dumps({"model": "stand-in", "prompt": prompt, "user": turn, "max_tokens": 1}).encode()
        headers = {"Content-Type": "application/json", "X-Session-ID": session}
        request = urllib.request.Request(f"{self._url}/v1/completions", body, headers)
        with suppress(OSError), urllib.request.urlopen(request, timeout=10 * TURN_S) as response:
            response.read()


@contextmanager
def running_router(program: str, options: Sequence[str], engines: int) -> Iterator[Router]:
    """Start vllm-router before stand-ins; end both afterwards."""
    stand_ins = StandIns(engines)
    port, metrics_port = _free_ports(2)
    command = [program, "--worker-urls", *stand_ins.urls, "--port", str(port), *options]
    command += ["--prometheus-port", str(metrics_port), "--worker-startup-check-interval", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_health(f"http://127.0.0.1:{port}", process)
        yield Router(f"http://127.0.0.1:{port}", stand_ins)
    finally:
        stand_ins.close()
        process.kill()  # asked to end, it waits for connections that are kept alive
        process.wait(TURN_S)


def _await_health(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"vllm-router was not ready after {START_S:.0f} s (exit status {process.poll()})")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
