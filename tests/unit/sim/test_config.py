"""The clouds file: strict, with a place and a hint for what is wrong."""

from __future__ import annotations

import pytest

from crossfade.sim.config import CLOUDS, CloudsConfig, CloudsConfigError, load_clouds

GOOD = """
seed: 3
models:
  - cloud: bedrock
    id: arn:aws:bedrock:us-east-1:123456789012:provisioned-model/recap
    capacity: {kind: model_units, units: 3, input_tpm: 1000, output_tpm: 500}
"""


def test_a_file_is_read(tmp_path):
    path = tmp_path / "clouds.yaml"
    path.write_text(GOOD)

    assert load_clouds(path).models[0].capacity.units == 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("seed: 3", "sead: 3"), ":2:1 sead: unknown key (hint: did you mean `seed`?)"),
        (
            ("units: 3", "units: -1"),
            ":6:35 models.0.capacity.units: Input should be",
        ),
        (("cloud: bedrock", "cloud: openai"), "model units exist in bedrock only"),
        (("seed: 3", "seed: ["), "not YAML"),
    ],
)
def test_a_wrong_file_names_the_place(tmp_path, change, problem):
    path = tmp_path / "clouds.yaml"
    path.write_text(GOOD.replace(*change))

    with pytest.raises(CloudsConfigError) as caught:
        load_clouds(path)

    assert problem in str(caught.value)


def test_the_default_clouds_hold_what_the_demo_needs():
    models = CloudsConfig().models
    names = {model.id.rpartition("/")[2]: model.cloud for model in models}

    assert {model.cloud for model in models} == set(CLOUDS)
    assert (
        names.items()
        >= {
            "haiku-sm": "sagemaker",
            "recap": "bedrock",
            "us.anthropic.claude-haiku-4-5": "bedrock",
            "gpt-sim": "openai",
            "judge-a": "openai",
            "judge-b": "openai",
            "judge-c": "openai",
            "claude-sim": "anthropic",
            "gemini-gsu": "vertex",
            "gpt-ptu": "azure",
        }.items()
    )
