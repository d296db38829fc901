"""Transcripts as one HTML page that needs nothing else, coloured by who wrote what.

Invariant: whatever a model, a task or a tool said is text in the page, never markup.
"""

from collections.abc import Sequence
from html import escape

from headway.scheduler.rollout import ToolCall

from .transcript import Segment, Transcript, say_call

_CSS = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --soft: #6b7280; --line: #d9dce1;
  --model: #e8f1ff; --model-edge: #2563eb; --tool: #fdf3e0; --tool-edge: #c2780c;
  --good: #15803d; --bad: #b91c1c }
@media (prefers-color-scheme: dark) {
  :root { --bg: #15171a; --fg: #e6e8eb; --soft: #9aa1ab; --line: #33373d; --model: #16233b;
    --model-edge: #60a5fa; --tool: #2e2413; --tool-edge: #f0a93a; --good: #4ade80; --bad: #f87171 }
}
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; background: var(--bg); color: var(--fg);
  font: 15px/1.5 system-ui, sans-serif }
.legend span { padding: .1rem .5rem; margin-right: .6rem; border-left: 4px solid var(--line) }
details { margin: 1rem 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden }
summary { padding: .5rem .8rem; cursor: pointer }
summary small { color: var(--soft); margin-left: .6rem }
pre { margin: 0; padding: .5rem .8rem; border-left: 4px solid var(--line); white-space: pre-wrap;
  overflow-wrap: anywhere; font: 13px/1.45 ui-monospace, monospace }
.prompt { color: var(--soft) }
.model { background: var(--model); border-color: var(--model-edge) }
.tool { background: var(--tool); border-color: var(--tool-edge) }
.calls { padding: .2rem .8rem; font-size: 13px; border-left: 4px solid var(--line) }
.right, .ok { color: var(--good) }
.wrong, .failed { color: var(--bad) }
b { font-weight: 650 }
"""
_LEGEND = (
    '<p class="legend"><span class="prompt">prompt</span><span class="model">the model</span>'
    '<span class="tool">tools</span></p>'
)


def transcripts_page(title: str, transcripts: Sequence[Transcript]) -> str:
    """The whole page; the first rollout is open."""
    articles = "".join(_one(transcript, number == 0) for number, transcript in enumerate(transcripts))
    return page(title, _CSS, f"<h1>{escape(title)}</h1>{_LEGEND}{articles}")


def page(title: str, css: str, body: str) -> str:
    """A document that loads nothing."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head><body>{body}</body></html>\n"
    )


def _one(transcript: Transcript, is_open: bool) -> str:
    outcome = transcript.outcome
    facts = escape(" · ".join(transcript.facts))
    segments = "".join(_segment(segment) for segment in transcript.segments)
    return (
        f"<details{' open' if is_open else ''}><summary><b class='{outcome}'>{outcome}</b> "
        f"{escape(transcript.rollout.id)}<small>{facts}</small></summary>{segments}</details>"
    )


def _segment(segment: Segment) -> str:
    calls = "".join(_call(call) for call in segment.calls)
    text = escape(segment.text)
    return f'<pre class="{segment.kind}">\n{text}</pre>{calls}'  # the parser drops a first line break


def _call(call: ToolCall) -> str:
    return f'<div class="calls {"failed" if call.failed else "ok"}">{escape(say_call(call))}</div>'
