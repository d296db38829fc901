"""Whatever has to be done at the end is done, and the error that came first is the one that is told."""

import pytest

from headway.cli.endings import finally_all, texts, try_all
from headway.errors import HeadwayError, InputError


class Step:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.taken = False

    def __call__(self) -> None:
        self.taken = True
        if self.error:
            raise self.error


def test_every_step_is_taken_after_one_that_failed_and_the_first_error_comes_out() -> None:
    steps = [Step(HeadwayError("disk full")), Step(), Step(ValueError("odd")), Step()]
    with pytest.raises(HeadwayError, match="disk full") as caught:
        try_all(*steps)
    assert all(step.taken for step in steps)
    assert texts(caught.value) == ["disk full", "ValueError: odd"]


def test_the_error_of_the_body_goes_before_those_of_the_steps() -> None:
    last = Step()
    with pytest.raises(KeyboardInterrupt) as caught, finally_all(Step(HeadwayError("disk full")), last):
        raise KeyboardInterrupt
    assert last.taken
    assert caught.value.__notes__ == ["disk full"]


def test_an_error_of_a_step_comes_out_of_a_body_that_went_well() -> None:
    with pytest.raises(InputError), finally_all(Step(InputError("no"))):
        pass


def test_the_same_thing_is_said_once() -> None:
    with pytest.raises(ExceptionGroup) as caught, finally_all(Step(HeadwayError("disk full"))):
        raise ExceptionGroup("several", [HeadwayError("disk full")])
    assert texts(caught.value) == ["disk full"]
