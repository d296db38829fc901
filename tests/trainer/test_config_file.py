from pathlib import Path

import pytest

from headway.cli.recipes import load_recipe
from headway.cli.train_config import TrainConfig
from headway.errors import InputError
from headway.trainer.config_file import load_config


def load(folder: Path, text: str) -> TrainConfig:
    (folder / "run.toml").write_text(text)
    return load_config(folder / "run.toml", TrainConfig)


@pytest.mark.parametrize("name", ["demo", "tiny", "rstar2-14b"])
def test_a_recipe_is_a_configuration_like_any_other(name: str) -> None:
    config = load_recipe(name, TrainConfig)
    assert config.grpo.samples == 2 * config.grpo.keep


def test_the_papers_recipe_has_the_papers_figures() -> None:
    grpo = load_recipe("rstar2-14b", TrainConfig).grpo
    assert (grpo.prompts, grpo.samples, grpo.keep) == (512, 32, 16)
    assert [stage.steps for stage in grpo.plan] == [300, 85, 125]
    assert [stage.max_response_tokens for stage in grpo.plan] == [8192, None, None]
    assert (grpo.optimizer.learning_rate, grpo.optimizer.warmup_steps) == (1e-6, 20)


def test_a_name_that_is_neither_a_file_nor_a_recipe_is_told_the_recipes() -> None:
    with pytest.raises(
        InputError, match="neither a file nor a recipe; the recipes are: demo, rstar2-14b, tiny"
    ):
        load_recipe("tine", TrainConfig)


def test_a_value_can_be_given_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('model = "m"\n[grpo]\nseed = 1\n')
    changes = ["grpo.seed=7", "model=other/model", "grpo.optimizer.betas=[0.5, 0.6]", "data.tasks=3"]
    config = load_config(tmp_path / "run.toml", TrainConfig, changes)
    assert (config.model, config.grpo.seed, config.data.tasks) == ("other/model", 7, 3)
    assert config.grpo.optimizer.betas == (0.5, 0.6)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("grpo.seed", r"--set grpo.seed: give KEY=VALUE"),
        ("grpo..seed=1", r"--set grpo..seed=1: give KEY=VALUE"),
        ("model.name=1", r"--set model.name=1: model is no table"),
        ("grpo.sed=1", r"\[grpo\] has no key `sed`; did you mean `seed`\?"),
        ("grpo.seed=one", r"Expected `int`, got `str` - at `grpo.seed`"),
    ],
)
def test_a_value_beside_the_file_that_does_not_fit_is_named(tmp_path: Path, change: str, fault: str) -> None:
    (tmp_path / "run.toml").write_text('model = "m"\n')
    with pytest.raises(InputError, match=fault):
        load_config(tmp_path / "run.toml", TrainConfig, [change])


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    config = load(tmp_path, 'model = "m"\n[grpo]\nprompts = 3\n')
    assert (config.model, config.grpo.prompts, config.grpo.samples) == ("m", 3, 12)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", r"missing required field `model`"),
        ('model = "m"\nmodle = 1', r"there is no key `modle`; did you mean `model`\?"),
        ('model = "m"\n[grpo]\nprompt = 3', r"\[grpo\] has no key `prompt`; did you mean `prompts`\?"),
        (
            'model = "m"\n[grpo.optimizer]\nlearning_rat = 3',
            r"\[grpo.optimizer\] has no key `learning_rat`; did you mean `learning_rate`\?",
        ),
        ('model = "m"\n[grpo]\nzzzzzz = 3', r"\[grpo\] has no key `zzzzzz`; the keys are: steps, stages"),
        (
            'model = "m"\n[[grpo.stages]]\nsteps = 3\nmax_respnse_tokens = 3',
            r"\[grpo.stages\[0\]\] has no key `max_respnse_tokens`; did you mean `max_response_tokens`\?",
        ),
        (
            'model = "m"\n[[grpo.stages]]\nsteps = 3\nenter = { fully_solved = 0.5 }',
            "stage train: `enter` can never hold; the stage before it has 0 steps",
        ),
        ('model = "m"\n[grpo]\nkeep = "six"', r"Expected `int`, got `str` - at `grpo.keep`"),
        ('model = "m"\n[grpo]\nkeep = 20', r"`keep` \(20\) cannot be more than `samples` \(12\)"),
        ('model = "m"\n[grpo]\nsteps = 0', r"`steps` must be at least 1"),
        ('model = "m"\n[grpo]\ngive_up_after = 0', r"`give_up_after` must be at least 1"),
        (
            'model = "m"\n[grpo.roc]\nepsilon = -0.1',
            r"run.toml: Expected `float` >= 0.0 - at `grpo.roc.epsilon`$",
        ),
        (
            'model = "m"\n[grpo.optimizer]\nlearning_rate = 0',
            r"Expected `float` > 0.0 - at `grpo.optimizer.learn",
        ),
        (
            'model = "m"\n[grpo.optimizer]\nlearning_rate = nan',
            r"Expected `float` .* `grpo.optimizer.learning_rate`",
        ),
        (
            'model = "m"\n[grpo.optimizer]\nwarmup_steps = -1',
            r"`int` >= 0 - at `grpo.optimizer.warmup_steps`",
        ),
        (
            'model = "m"\n[grpo.optimizer]\nbetas = [0.9, 1]',
            r"`float` < 1.0 - at `grpo.optimizer.betas\[1\]`",
        ),
        (
            'model = "m"\n[grpo.optimizer]\nweight_decay = -1',
            r"`float` >= 0.0 - at `grpo.optimizer.weight_decay`",
        ),
        (
            'model = "m"\n[grpo.optimizer]\nmax_grad_norm = 0',
            r"`float` > 0.0 - at `grpo.optimizer.max_grad_norm`",
        ),
        (
            'model = "m"\n[grpo.optimizer]\nmicro_batch_tokens = 0',
            r"`int` >= 1 - at `grpo.optimizer.micro_batch_",
        ),
        ('model = "m"\n[grpo.optimizer.clip]\nlow = -1', r"`float` >= 0.0 - at `grpo.optimizer.clip.low`"),
        ('model = "m"\n[evaluation]\ntasks = -1', r"`int` >= 0 - at `evaluation.tasks`"),
        ('model = "m"\n[evaluation]\nsamples = 0', r"`int` >= 1 - at `evaluation.samples`"),
        ('model = "m"\n[evaluation]\nevery = -1', r"`int` >= 0 - at `evaluation.every`"),
        ("model = ", r"run.toml: "),
    ],
)
def test_what_does_not_fit_is_named_with_the_nearest_thing_that_does(
    tmp_path: Path, text: str, fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.toml: cannot read"):
        load_config(tmp_path / "none.toml", TrainConfig)
