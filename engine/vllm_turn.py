"""Translates one turn into vLLM's terms and vLLM's answer back.

Invariant: a ``Generation`` has as many logprobs and versions as tokens; where vLLM gives another number,
that is an error and never a guess. Knows nothing of engines.
"""

import time
from typing import Any, cast, get_args

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind

from .errors import EngineError
from .protocol import FinishReason, Generation, Sampling


def sampling_params(sampling: Sampling) -> Any:
    """vLLM's parameters: only the last output, no text, and the sampled tokens' raw logprobs."""
    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        stop_token_ids=list(sampling.stop_token_ids),
        ignore_eos=True,
        detokenize=False,
        logprobs=0,
        flat_logprobs=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_clone=True,
    )


def generation(output: Any, *, submitted: float) -> Generation:
    """What became of a turn that was submitted at ``submitted`` seconds of the monotonic clock."""
    completion, metrics = output.outputs[0], output.metrics
    tokens = list(completion.token_ids)
    result = Generation(
        tokens=tokens,
        logprobs=_sampled_logprobs(completion.logprobs, len(tokens)),
        versions=[int(span.version) for span in completion.weight_versions or () for _ in _indices(span)],
        finish_reason=_finish_reason(completion.finish_reason),
        cached_tokens=output.num_cached_tokens or 0,
        preemptions=metrics.num_preemptions,
        queue_s=_seconds_to(metrics.scheduled_ts, submitted),
        first_token_s=_seconds_to(metrics.first_token_ts, submitted),
    )
    if not len(tokens) == len(result.logprobs) == len(result.versions):
        raise EngineError(
            f"turn {output.request_id}: vLLM returned {len(tokens)} tokens with {len(result.logprobs)} "
            f"logprobs and {len(result.versions)} weight versions"
        )
    return result


def _sampled_logprobs(flat: Any, count: int) -> list[float]:
    """The sampled token's logprob at each position; vLLM lists it first."""
    if not flat or not count:
        return []
    return [flat.logprobs[start] for start in flat.start_indices]


def _indices(span: Any) -> range:
    return range(span.start, span.end)


def _finish_reason(reason: str) -> FinishReason:
    for known in get_args(FinishReason):
        if reason == known:
            return cast(FinishReason, known)
    raise EngineError(f"vLLM ended a turn with {reason!r}; its log has the cause")


def _seconds_to(moment: float, submitted: float) -> float:
    """Both are seconds of the machine's monotonic clock; a moment that never came counts until now."""
    return max(0.0, (moment or time.monotonic()) - submitted)
