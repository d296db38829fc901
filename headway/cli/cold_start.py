"""``headway cold-start``: the supervised training of the shipped policy, with progress."""

from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from headway.trainer.sft import SftStep
from headway.trainer.sft_cold_start import ColdStartConfig, ColdStartSummary, cold_start

from .output_file import write_json
from .session import quieten_transformers


def run_cold_start(
    out: Path, *, steps: int | None, seed: int, json_file: Path | None, console: Console
) -> ColdStartSummary:
    """Train, save the HF folder, and say what it cost."""
    quieten_transformers()
    config = ColdStartConfig(seed=seed)
    if steps is not None:
        config = msgspec.structs.replace(config, steps=steps)
    with Progress(console=console) as progress:
        bar = progress.add_task("making data and tokenizer", total=config.steps)

        def on_step(step: SftStep) -> None:
            progress.update(bar, completed=step.step, description=f"loss {step.update.loss:.3f}")

        summary = cold_start(out, config=config, on_step=on_step)
    console.print(
        f"{summary.parameters:,} parameters, {summary.steps} steps, {summary.tokens:,} tokens, final loss "
        f"{summary.final_loss:.3f}, {summary.seconds:.0f} s",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"model folder: [bold]{escape(str(out))}[/]", highlight=False, soft_wrap=True)
    if json_file is not None:
        write_json(json_file, summary)
    return summary
