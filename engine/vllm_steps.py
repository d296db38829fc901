"""vLLM's schedulers with a record of every step; loaded in vLLM's engine core where a config asks for it.

vLLM's loop calls ``schedule``, runs the model and calls ``update_from_output``, one after the other: the end
of that call ends a step. Where vLLM schedules ahead of the running step the records still add up to the
time in which the engine worked, though a single one may be off by what overlaps.
Invariants: nothing is scheduled otherwise than vLLM does; the records of all finished turns are in the file
once the engine is idle. Knows nothing of what the records are used for.
"""

import time
from pathlib import Path
from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from headway.jsonl import JsonLines

from .step_record import StepRecord, StepWork, record_file

FLUSH_S = 1.0
_FILE = "headway_step_record"


def record_steps(vllm_config: Any, *, folder: Path, engine_id: str) -> None:
    """Have the engine of ``vllm_config`` append its steps to its file in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    scheduler = vllm_config.scheduler_config
    scheduler.scheduler_cls = RecordingAsyncScheduler if scheduler.async_scheduling else RecordingScheduler
    vllm_config.additional_config = {
        **(vllm_config.additional_config or {}),
        _FILE: str(record_file(folder.absolute(), engine_id)),
    }


class _Recording:
    """Mixed in before one of vLLM's schedulers."""

    requests: Any
    running: Any

    def __init__(self, vllm_config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(vllm_config, *args, **kwargs)  # type: ignore[call-arg]
        self._lines = JsonLines(Path(vllm_config.additional_config[_FILE]), append=True)
        self._works: dict[int, StepWork] = {}
        self._began: tuple[float, float] | None = None  # wall and CPU clock where the coming step began
        self._flushed = time.monotonic()

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        began = (time.monotonic(), time.process_time())
        output = super().schedule(*args, **kwargs)  # type: ignore[misc]
        if output.total_num_scheduled_tokens == 0:
            self._began = None  # nothing to do, or paused: time goes by without a step
            return output
        self._began = self._began or began
        self._works[id(output)] = self._work(output)
        return output

    def update_from_output(self, output: Any, model_output: Any) -> Any:
        result = super().update_from_output(output, model_output)  # type: ignore[misc]
        work = self._works.pop(id(output), None)
        if work is not None and self._began is not None:
            self._note(work, output)
        return result

    def shutdown(self) -> None:
        self._lines.close()
        super().shutdown()  # type: ignore[misc]

    def _work(self, output: Any) -> StepWork:
        """Called after ``schedule``, which has already counted the step's tokens as computed."""
        work = StepWork()
        for id, tokens in output.num_scheduled_tokens.items():
            request = self.requests[id]
            work.add(
                tokens,
                context=request.num_computed_tokens - tokens,
                decodes=tokens == 1 and request.num_output_tokens > 0,
            )
        return work

    def _note(self, work: StepWork, output: Any) -> None:
        assert self._began is not None
        (wall, cpu), now = self._began, (time.monotonic(), time.process_time())
        running, waiting = self.get_request_counts()  # type: ignore[attr-defined]
        self._lines.add(
            StepRecord(
                t=now[0],
                seconds=now[0] - wall,
                cpu_seconds=now[1] - cpu,
                prefill=work.prefill,
                decode=work.decode,
                kv_read=work.kv_read,
                attention=work.attention,
                running=running,
                waiting=waiting,
                preemptions=len(output.preempted_req_ids or ()),
            )
        )
        self._began = now if running or waiting else None
        if self._began is None or now[0] > self._flushed + FLUSH_S:
            self._lines.flush()
            self._flushed = now[0]


class RecordingScheduler(_Recording, Scheduler):  # type: ignore[misc]
    """Records the steps of an engine that schedules one after the other."""


class RecordingAsyncScheduler(_Recording, AsyncScheduler):  # type: ignore[misc]
    """Records the steps of an engine that schedules ahead."""
