import math
from typing import Any

import msgspec
import pytest

from headway.errors import InputError
from headway.trainer.batch import Sample
from headway.trainer.vetting import require_whole, scorable

from .records import rollout


def broken(**fields: Any) -> Sample:
    return Sample(msgspec.structs.replace(rollout(id="g7.3", prompt=2, written=3), **fields), 1.0)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"tokens": []}, "rollout g7.3 has no tokens; leave it out"),
        ({"logprobs": []}, "rollout g7.3 has no logprobs; the engine must return one for each token"),
        ({"logprobs": [0.0] * 4}, "rollout g7.3 has 5 tokens and 4 logprobs; it must have one of each"),
        ({"mask": [False] * 6}, "rollout g7.3 has 5 tokens and 6 mask"),
        ({"versions": [0]}, "rollout g7.3 has 5 tokens and 1 versions"),
        ({"mask": [True] * 5}, "rollout g7.3 begins with a token of the model"),
    ],
)
def test_a_record_that_breaks_its_own_rules_is_named_with_its_fault(fields: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        require_whole([Sample(rollout(), 1.0), broken(**fields)])


def test_a_rollout_in_which_the_model_wrote_nothing_is_whole() -> None:
    require_whole([broken(mask=[False] * 5)])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_rollouts_whose_written_tokens_have_finite_logprobs_can_be_scored(value: float) -> None:
    whole = broken()
    of_the_prompt = broken(logprobs=[value, 0.0, -1.0, -1.0, -1.0])
    of_the_model = broken(logprobs=[0.0, 0.0, -1.0, value, -1.0])
    assert scorable([whole, of_the_model, of_the_prompt]) == [whole, of_the_prompt]
