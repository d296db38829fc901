"""The profile as one HTML page that needs nothing else: no network, no library, no other file.

What the profile says is in the page as text and SVG; what happened when is in it as data, which its own
script draws. Invariant: all text from a record is escaped, or data; a content security policy lets no other
script run, and nothing be loaded.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..profile import Finding, Profile
from ..timeline import Timeline
from ..wording import duration, number, share
from .bars import causes_table, engine_bars, fleet_of, label_bars, legend, stacked_bar
from .causes import MEANINGS, spoken
from .payload import payload
from .text import html

_WEB = Path(__file__).parent / "web"
_SHOWN = 3  # lines of a kind that are in sight at once
_SCRIPTS = (
    "data.js",
    "format.js",
    "tip.js",
    "view.js",
    "lanes.js",
    "level_lane.js",
    "engine_lane.js",
    "timeline.js",
    "life.js",
    "life_chart.js",
    "list.js",
    "main.js",
)


def html_page(profile: Profile, timeline: Timeline) -> str:
    """The whole page."""
    script = "'use strict';\n" + "".join(_file(name) for name in _SCRIPTS)
    body = "".join(
        [
            _summary(profile),
            _findings(profile),
            _engines(profile),
            _file("timeline.html"),
            _file("trajectories.html"),
            _details(profile),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>headway profile: {html(profile.source)}</title>\n"
        f"<style>{_file('page.css')}</style>\n</head>\n<body>\n<main>\n{body}</main>\n"
        f'<div id="tip" role="status" hidden></div>\n'
        f'<script id="data" type="application/octet-stream;base64">{payload(timeline)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _file(name: str) -> str:
    return (_WEB / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; base-uri 'none'"


def _summary(profile: Profile) -> str:
    fleet = fleet_of(profile.engines)
    seconds = profile.wall_ns / 1e9
    figures = {
        "wall time": duration(profile.wall_ns),
        "engines": number(len(profile.engines)),
        "trajectories": number(profile.trajectories),
        "failed": number(profile.failed),
        "turns": number(profile.turns),
        "tokens generated": number(profile.generated),
        "tokens a second": f"{profile.generated / seconds:,.0f}" if seconds else "–",
    }
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures.items())
    unfinished = "" if profile.complete else "<p class=warn>The record ends before the run did.</p>"
    lines = _lines(profile.contradictions, "warn") + _lines(profile.notes, "soft")
    bar = stacked_bar(fleet, "all engines") if fleet else ""
    return (
        f"<header><p class=soft>headway profile · {html(profile.source)} · model {html(profile.model)} · "
        f'policy {html(profile.policy)}</p><h1 id="verdict">{html(spoken(profile.verdict))}</h1>{unfinished}'
        f'<div id="fleet">{bar}</div>{legend(fleet)}<dl class="facts">{facts}</dl>{lines}</header>\n'
    )


def _lines(lines: Sequence[str], kind: str) -> str:
    """Lines, of which a large fleet may have many."""
    texts = [f'<p class="{kind}">{html(line)}</p>' for line in lines]
    if len(texts) <= _SHOWN:
        return "".join(texts)
    more = f"<details><summary>{len(texts) - _SHOWN} more</summary>{''.join(texts[_SHOWN:])}</details>"
    return "".join(texts[:_SHOWN]) + more


def _findings(profile: Profile) -> str:
    if not profile.findings:
        return ""
    total = profile.wall_ns * len(profile.engines)
    cards = "".join(_finding(finding, total) for finding in profile.findings)
    return (
        '<section id="findings"><h2>What cost time, and what to do</h2><p class=soft>The costliest first, in '
        "engine time lost; small batches count as well as idle time, as an estimate.</p>"
        f"<ol>{cards}</ol></section>\n"
    )


def _finding(finding: Finding, total: int) -> str:
    lost = finding.lost_ns
    at_most = "<span>up to</span>" if finding.estimated_ns else ""
    return (
        f'<li><div class="cost">{at_most}<b>{share(lost, total)}</b><span>{duration(lost)}</span></div>'
        f'<div><h3><i style="--hue:var(--{html(finding.cause)})"></i>{html(spoken(finding.cause))}</h3>'
        f'<p>{html(finding.seen)}</p><p class="lever">{html(finding.lever)}</p></div></li>'
    )


def _engines(profile: Profile) -> str:
    return (
        '<section id="engines"><h2>Where each engine’s time went</h2><p class=soft>At any moment an engine '
        "is busy, or idle for exactly one cause; each bar is the whole run. Point at a colour to follow it."
        f"</p>{engine_bars(profile.engines)}<details><summary>Exact figures</summary>"
        f'<div class="scroll">{causes_table(profile.engines, profile.wall_ns)}</div></details></section>\n'
    )


def _details(profile: Profile) -> str:
    rows = "".join(
        f'<tr><td><i style="--hue:var(--{cause})"></i>{spoken(cause)}</td><td>{html(words)}</td></tr>'
        for cause, words in MEANINGS.items()
    )
    return (
        f'<section id="more"><h2>More</h2>{label_bars(profile.phases, "phase of the job")}'
        f"{label_bars(profile.stages, 'stage of the work')}<details><summary>What the causes mean</summary>"
        "<p class=soft>Where several apply, the first in this list is the cause.</p>"
        f'<table class="meanings">{rows}</table></details></section>\n'
    )
