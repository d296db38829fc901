"""Pages of metrics as vLLM 0.32 writes them, with the figures that a test wants, and a server for them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from headway.profiles.foreign.exposition import Reading, read_exposition

# The whole page of a vLLM 0.32.0 with 24 requests in a KV cache of 64 blocks of 32 tokens: 5 run, 3 wait, 16
# have finished, and there were 39 preemptions.
RECORDED = Path(__file__).with_name("vllm_metrics.txt").read_text()

_NAMES = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_usage": "vllm:kv_cache_usage_perc",
    "generated": "vllm:generation_tokens_total",
    "prompt": "vllm:prompt_tokens_total",
    "queried": "vllm:prefix_cache_queries_total",
    "hit": "vllm:prefix_cache_hits_total",
    "preemptions": "vllm:num_preemptions_total",
    "steps": "vllm:iteration_tokens_total_count",
    "queue_count": "vllm:request_queue_time_seconds_count",
    "queue_sum": "vllm:request_queue_time_seconds_sum",
    "awake": 'vllm:engine_sleep_state{engine="0",model_name="tiny",sleep_state="awake"}',
    "born": "process_start_time_seconds",
}


def page(**figures: float) -> str:
    """The recorded page with some figures replaced."""
    text = RECORDED
    for name, value in figures.items():
        line = rf"^({re.escape(_NAMES[name])}(?:{{engine=\"0\",model_name=\"tiny\"}})?) \S+$"
        text, replaced = re.subn(line, rf"\g<1> {value}", text, flags=re.MULTILINE)
        assert replaced == 1, name
    return text


def reading(engine: str = "0", model: str = "tiny", **figures: float) -> Reading:
    """One engine, as read from such a page."""
    text = page(**figures).replace('engine="0"', f'engine="{engine}"').replace('"tiny"', f'"{model}"')
    (found,) = read_exposition(text)
    return found


Answer = Callable[
    [str, str | None], tuple[int, str]
]  # the path and the authorization; the status and the text


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """A real HTTP server of its own on this machine; gives its address, such as ``http://127.0.0.1:1234``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answer(self.path, self.headers["Authorization"])
            self.send_response(status)
            if status == 302:
                self.send_header("Location", text)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
