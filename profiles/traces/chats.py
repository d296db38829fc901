"""Chat transcripts as a workload: their lengths are counted, and the times of their tools drawn.

Chats with the same prompt are the trajectories of one group. Calls that a turn makes together run together,
so that the longest of them counts; where a turn calls no tool, what was drawn for ``user`` passes.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from headway.errors import InputError

from ..workload import Script, ScriptedGroup, ScriptedTurn, Workload
from .chat import Chat, parse_chat
from .chat_lengths import CharacterRuler, Measured, Ruler, TokenRuler
from .latency import Latency
from .lines import numbered_lines
from .options import TraceOptions
from .prefix import common

USER = "user"


def read_chats(path: Path, options: TraceOptions) -> Workload:
    """Read a file of chats; raises ``InputError`` at its first line that is none, and without a latency."""
    if not options.latency:
        raise InputError(
            f"{path}: chats do not say how long tools took; state it, such as --latency constant:1.5 or "
            "--latency lognormal:median=2,sigma=1"
        )
    ruler: Ruler = TokenRuler(options.tokenizer) if options.tokenizer else CharacterRuler()
    latency = Latency(options.latency, seed=options.seed)
    scripts: defaultdict[str | tuple[int, ...], list[Script]] = defaultdict(list)
    for number, line in numbered_lines(path):
        place = f"{path}:{number}"
        chat = parse_chat(line, place)
        try:
            measured = ruler.measure(chat)
            scripts[measured.prompt].append(Script(list(_turns(chat, measured, latency))))
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
    if not scripts:
        raise InputError(f'{path}: holds no chat; write one {{"messages": [...]}} a line')
    return _workload(path, scripts, ruler, f"{ruler.said}; tool times drawn from {latency.said}")


def _workload(
    path: Path, scripts: dict[str | tuple[int, ...], list[Script]], ruler: Ruler, said: str
) -> Workload:
    lengths = {prompt: max(-(-len(prompt) // ruler.per_token), 1) for prompt in scripts}
    shared = min((common(a, b) for a, b in itertools.pairwise(sorted(scripts))), default=0)
    system = min(shared // ruler.per_token, min(lengths.values()) - 1)
    groups = [ScriptedGroup(lengths[prompt] - system, siblings) for prompt, siblings in scripts.items()]
    chats = sum(len(siblings) for siblings in scripts.values())
    return Workload(
        name=path.stem,
        groups=groups,
        max_context=max(system + group.prompt + s.tokens for group in groups for s in group.scripts),
        turn_limit=max(turn.generated for group in groups for s in group.scripts for turn in s.turns),
        system=system,
        notes=(
            f"{chats} chats ({path.name}), those of the same prompt as one group; {said}; all begun at once"
        ),
    )


def _turns(chat: Chat, measured: Measured, latency: Latency) -> Iterator[ScriptedTurn]:
    """The turns; nothing follows the last."""
    for turn, (generated, observed) in zip(chat.turns[:-1], measured.turns[:-1], strict=True):
        wait_s = max(latency.draw(tool) for tool in turn.tools or [USER])
        yield ScriptedTurn(max(generated, 1), wait_s, observed)
    yield ScriptedTurn(max(measured.turns[-1][0], 1))
