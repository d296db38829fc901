import msgspec

from headway.engine.simulated.hardware import Hardware, StepTime
from headway.profiles.hardware_writer import hardware_toml


def test_what_is_written_is_read_back_with_four_digits_of_its_step_times() -> None:
    hardware = Hardware(
        name="a machine",
        source='steps of "this" model\nand of that',
        measured=True,
        step=StepTime(fixed=0.0123456, prefill=3e-4, decode=0.0, kv_read=1.25e-6, attention=1e-7),
        kv_tokens=1024,
    )
    read = msgspec.toml.decode(hardware_toml(hardware), type=Hardware)
    assert read.step.fixed == 0.01235
    assert msgspec.structs.replace(read, step=hardware.step) == hardware
