"""The bound of many long trajectories: each is slowed by those that share its steps, and steps are few.

Take any set L of trajectories. Of its T seconds each spends its tools, its prefills and ``fixed`` for each of
its decode steps: B seconds in all of L. Beyond that, a decode step costs each of the n members of L in it at
least q(x) = decode + kv_read x for every member's context x. So the members of a step with contexts x_t spend
n * sum(q(x_t)) together, and over all steps the sum over L's decoded tokens of q(x_t) n_t, where n_t members
shared the step of token t. The sum of 1 / n_t is the number of steps in which L decodes, at most S = (E T -
W) / fixed. By Cauchy and Schwarz (sum q n) (sum 1 / n) >= (sum sqrt q)^2 =: Q^2, so that
    |L| T >= B + Q^2 / S,
a quadratic inequality in T. All sets of the k longest trajectories are tried. Where ``fixed`` is 0 steps are
for nothing, and this bound is silent.
"""

import numpy as np

from headway.engine.simulated.hardware import Hardware, StepTime

from ..workload import Script, Workload
from .work import alone

_ROUNDING = 1 - 1e-9


def crowd_bound(workload: Workload, hardware: Hardware, engines: int, work_s: float) -> float:
    """The largest bound of any k longest trajectories; ``work_s`` is W."""
    fixed = hardware.step.fixed
    if fixed <= 0 or not workload.groups:
        return 0.0
    each: list[tuple[float, float, float]] = []
    for group in workload.groups:
        prompt = workload.system + group.prompt
        for script in group.scripts:
            waits, own = alone(script, prompt, hardware)
            each.append((waits + own, waits, _roots(script, prompt, hardware.step)))
    each.sort(reverse=True)
    size = np.arange(1, len(each) + 1)
    waits_s = np.cumsum([waits for _, waits, _ in each])
    squared = np.cumsum([roots for _, _, roots in each]) ** 2
    middle = size * work_s + engines * waits_s
    apart = (size * work_s - engines * waits_s) ** 2 + 4 * size * engines * squared * fixed
    return float(np.max((middle + np.sqrt(apart)) / (2 * size * engines))) * _ROUNDING


def _roots(script: Script, prompt: int, step: StepTime) -> float:
    """The sum of sqrt(q) over decoded tokens, from below: an integral that begins a token earlier."""
    total = 0.0
    for context, turn in script.contexts(prompt):
        decodes, start = turn.generated - 1, context
        if step.kv_read > 0:
            low = step.decode + step.kv_read * start
            total += ((low + step.kv_read * decodes) ** 1.5 - low**1.5) * 2 / (3 * step.kv_read)
        else:
            total += decodes * step.decode**0.5
    return total
