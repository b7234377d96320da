"""What the simulated clouds are made of: models, capacity, prices, credentials, ports."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crossfade.sim.load.latency import FITS, LatencyFit

CLOUDS = ("openai", "bedrock", "sagemaker", "anthropic", "gemini", "vertex", "azure", "cohere")
UNITS = {"vertex": "gsu", "azure": "ptu"}
# where no latencies were recorded, the nearest cloud that has them stands in
FIT_OF = {
    "openai": "openai",
    "bedrock": "bedrock",
    "sagemaker": "open-weights",
    "anthropic": "anthropic",
    "gemini": "openai",
    "vertex": "openai",
    "azure": "openai",
    "cohere": "openai",
}


class CloudsConfigError(Exception):
    """The clouds file does not check; one `file:line:column key: what (hint)` for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InstancesConfig(_Strict):
    """A queue before instances; a request waits at most `queue_timeout_s`, a container's own limit."""

    kind: Literal["instances"]
    instances: int = Field(default=4, ge=0)
    slots: int = Field(default=8, ge=1)
    queue_limit: int = Field(default=256, ge=0)
    queue_timeout_s: float = Field(default=60.0, gt=0)
    usd_per_unit_hour: float = Field(default=7.09, ge=0)


class ModelUnitsConfig(_Strict):
    """Model units: allowances of input and output tokens a minute, enforced over `window_s`."""

    kind: Literal["model_units"]
    units: int = Field(default=2, ge=0)
    input_tpm: float = Field(default=90_000, gt=0)
    output_tpm: float = Field(default=18_000, gt=0)
    window_s: float = Field(default=10.0, gt=0)
    usd_per_unit_hour: float = Field(default=39.6, ge=0)


class ThroughputConfig(_Strict):
    """Scale or throughput units (`gsu`, `ptu`): tokens a minute, an output token counting `output_ratio`."""

    kind: Literal["gsu", "ptu"]
    units: int = Field(default=2, ge=0)
    tpm: float = Field(default=60_000, gt=0)
    output_ratio: float = Field(default=8.0, gt=0)
    window_s: float = Field(default=30.0, gt=0)
    usd_per_unit_hour: float = Field(default=3.7, ge=0)


class QuotaConfig(_Strict):
    """A shared quota of tokens and requests a minute, paid by the token.

    `shared` quotas belong to every customer together: being full is the provider's shortage.
    """

    kind: Literal["quota"]
    tpm: float = Field(default=2_000_000, gt=0)
    rpm: float | None = Field(default=None, gt=0)
    burndown: float = Field(default=1.0, gt=0)
    window_s: float = Field(default=60.0, gt=0)
    shared: bool = False
    usd_per_m_input: float = Field(default=1.0, ge=0)
    usd_per_m_output: float = Field(default=5.0, ge=0)


class LatencyConfig(_Strict):
    """The latency law: medians of the first token and of each later one, and the spread."""

    first_ms: float = Field(gt=0)
    per_token_ms: float = Field(gt=0)
    sigma: float = Field(ge=0)


class QualityConfig(_Strict):
    """How often answers are bad, and how (see `sim.text.Quality`)."""

    bad_rate: float = Field(default=0.12, ge=0, le=1)
    unfaithful_share: float = Field(default=0.5, ge=0, le=1)
    shared_difficulty: float = Field(default=0.5, ge=0, le=1)


class OutputConfig(_Strict):
    """How long answers are, in tokens."""

    mean_tokens: float = Field(default=120.0, gt=0)
    cv: float = Field(default=0.35, ge=0)
    chunk_tokens: int = Field(default=4, ge=1)


class JudgeConfig(_Strict):
    """Makes the model a judge: its chances to pass a good answer and to fail a bad one."""

    sensitivity: float = Field(default=0.92, ge=0, le=1)
    specificity: float = Field(default=0.85, ge=0, le=1)


class ModelConfig(_Strict):
    """One model in one cloud: for SageMaker the id is the endpoint's name, for Azure the deployment's.

    `serves` names the model behind an id that is not one: a deployment, or bought throughput of a model.
    `container` is what answers behind a SageMaker endpoint; a Bedrock model's id tells its family.
    `spills_to` is the deployment that takes over when this one is full. `rejects` are parameters the model
    answers with 400.
    """

    cloud: Literal["openai", "bedrock", "sagemaker", "anthropic", "gemini", "vertex", "azure", "cohere"]
    id: str = Field(min_length=1)
    region: str | None = None
    serves: str | None = None
    container: Literal["vllm", "tgi", "lmi"] = "vllm"
    spills_to: str | None = None
    rejects: tuple[str, ...] = ()
    capacity: Annotated[
        InstancesConfig | ModelUnitsConfig | ThroughputConfig | QuotaConfig, Field(discriminator="kind")
    ]
    latency: LatencyConfig | None = None
    quality: QualityConfig = QualityConfig()
    output: OutputConfig = OutputConfig()
    judge: JudgeConfig | None = None
    max_output_tokens: int = Field(default=8192, ge=1)
    context_tokens: int = Field(default=200_000, ge=1)

    @property
    def fit(self) -> LatencyFit:
        """The latency law: the configured one, or the one fitted for this kind of cloud."""
        if self.latency is not None:
            return LatencyFit(self.latency.first_ms, self.latency.per_token_ms, self.latency.sigma, n=0)
        return FITS[FIT_OF[self.cloud]]

    @property
    def is_provisioned(self) -> bool:
        """Whether the capacity is paid by the hour."""
        return not isinstance(self.capacity, QuotaConfig)


class AccessKeyConfig(_Strict):
    """A long-lived access key of the simulated accounts."""

    id: str = "AKIDEXAMPLE"
    secret: str = Field(default="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", repr=False)


class RoleConfig(_Strict):
    """A role with conditions; a role that is not listed may be assumed by whoever has an identity."""

    arn: str
    external_id: str | None = None
    audience: str | None = None  # of web identity tokens, over the account's
    longest_s: int = Field(default=43_200, ge=3600, le=43_200)


class IdentityConfig(_Strict):
    """Who may call. Workload tokens come from the simulated issuer, and only its signature is trusted."""

    access_keys: tuple[AccessKeyConfig, ...] = (AccessKeyConfig(),)
    api_keys: tuple[str, ...] = ("sk-sim",)
    account: str = "123456789012"
    audience: str = "sts.amazonaws.com"
    roles: tuple[RoleConfig, ...] = ()
    pool_audience: str = (
        "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/sim/providers/sim"
    )
    service_accounts: tuple[str, ...] = ("llm@acme-llm.iam.gserviceaccount.com",)
    tenant: str = "11111111-2222-3333-4444-555555555555"
    client_id: str = "66666666-7777-8888-9999-000000000000"
    azure_scopes: tuple[str, ...] = ("https://ai.azure.com", "https://cognitiveservices.azure.com")
    session_s: int | None = Field(default=None, gt=0)  # overrides the duration a caller asks for


class CloudsConfig(_Strict):
    """The whole simulation. `port` 0 lets the system choose every port; otherwise `port` and onwards."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_520)
    seed: int = 0
    time_scale: float = Field(default=1.0, ge=0)  # multiplies latencies; allowances stay per real minute
    identity: IdentityConfig = IdentityConfig()
    models: tuple[ModelConfig, ...] = Field(default_factory=lambda: default_models())  # noqa: PLW0108 - defined below

    @model_validator(mode="after")
    def _unique_models(self) -> CloudsConfig:
        if not self.models:
            raise ValueError("models: name at least one")
        seen: set[tuple[str, str]] = set()
        for model in self.models:
            if (model.cloud, model.id) in seen:
                raise ValueError(f"{model.cloud} has two models named {model.id}")
            seen.add((model.cloud, model.id))
            if model.container != "vllm" and model.cloud != "sagemaker":
                raise ValueError(f"{model.id}: only sagemaker endpoints have a container")
            if isinstance(model.capacity, ModelUnitsConfig) and model.cloud != "bedrock":
                raise ValueError(f"{model.id}: model units exist in bedrock only")
            if isinstance(model.capacity, InstancesConfig) != (model.cloud == "sagemaker"):
                raise ValueError(f"{model.id}: sagemaker endpoints have instances, other clouds do not")
            if isinstance(model.capacity, ThroughputConfig) and UNITS.get(model.cloud) != model.capacity.kind:
                raise ValueError(f"{model.id}: gsu exist in vertex, ptu in azure")
        for model in self.models:
            if model.spills_to is not None and (model.cloud, model.spills_to) not in seen:
                raise ValueError(f"{model.id}: spills_to names no {model.cloud} model")
        return self


def default_models() -> tuple[ModelConfig, ...]:
    """The clouds of the demo: one model on three substrates, a general model, and a jury of three."""
    recap = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/recap"
    judged = OutputConfig(mean_tokens=30)
    judge_quota = QuotaConfig(kind="quota", tpm=20_000_000)
    skills = {"judge-a": (0.92, 0.85), "judge-b": (0.90, 0.80), "judge-c": (0.95, 0.88)}
    return (
        ModelConfig(
            cloud="sagemaker", id="haiku-sm", region="us-east-1", capacity=InstancesConfig(kind="instances")
        ),
        ModelConfig(
            cloud="bedrock", id=recap, region="us-east-1", capacity=ModelUnitsConfig(kind="model_units")
        ),
        ModelConfig(
            cloud="bedrock",
            id="us.anthropic.claude-haiku-4-5",
            capacity=QuotaConfig(kind="quota", burndown=5),
        ),
        *_other_bodies(),
        ModelConfig(cloud="cohere", id="command-sim", capacity=QuotaConfig(kind="quota")),
        ModelConfig(cloud="openai", id="gpt-sim", capacity=QuotaConfig(kind="quota")),
        ModelConfig(cloud="anthropic", id="claude-sim", capacity=QuotaConfig(kind="quota", rpm=4000)),
        ModelConfig(cloud="gemini", id="gemini-sim", capacity=QuotaConfig(kind="quota")),
        ModelConfig(cloud="vertex", id="gemini-sim", capacity=QuotaConfig(kind="quota", shared=True)),
        ModelConfig(
            cloud="vertex", id="gemini-gsu", serves="gemini-sim", capacity=ThroughputConfig(kind="gsu")
        ),
        ModelConfig(cloud="vertex", id="claude-sim@1", capacity=QuotaConfig(kind="quota")),
        ModelConfig(cloud="azure", id="gpt-standard", serves="gpt-sim", capacity=QuotaConfig(kind="quota")),
        ModelConfig(
            cloud="azure",
            id="gpt-ptu",
            serves="gpt-sim",
            spills_to="gpt-standard",
            capacity=ThroughputConfig(kind="ptu"),
        ),
        *(
            ModelConfig(
                cloud="openai",
                id=name,
                capacity=judge_quota,
                output=judged,
                judge=JudgeConfig(sensitivity=sensitivity, specificity=specificity),
            )
            for name, (sensitivity, specificity) in skills.items()
        ),
    )


def _other_bodies() -> tuple[ModelConfig, ...]:
    """A model of each family and container that has a body of its own."""
    families = (
        "amazon.titan-text-express-v1",
        "us.amazon.nova-pro-v1:0",
        "us.meta.llama3-3-70b-instruct-v1:0",
        "mistral.mixtral-8x7b-instruct-v0:1",
        "cohere.command-text-v14",
        "cohere.command-r-v1:0",
    )
    return (
        *(ModelConfig(cloud="bedrock", id=name, capacity=QuotaConfig(kind="quota")) for name in families),
        *(
            ModelConfig(
                cloud="sagemaker",
                id=f"llama-{container}",
                region="us-east-1",
                container=container,
                capacity=InstancesConfig(kind="instances", instances=1),
            )
            for container in ("tgi", "lmi")
        ),
    )


def load_clouds(path: Path) -> CloudsConfig:
    """Read a clouds file; raises `CloudsConfigError` naming every problem's place."""
    text = path.read_text(encoding="utf-8")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise CloudsConfigError([f"{place} not YAML: {getattr(error, 'problem', error)}"]) from None
    try:
        return CloudsConfig.model_validate({} if document is None else document)
    except ValidationError as error:
        raise CloudsConfigError([_describe(path, node, problem) for problem in error.errors()]) from None


def _describe(path: Path, node: yaml.Node | None, problem: Any) -> str:
    location = [
        part
        for part in problem["loc"]
        if part not in {"instances", "model_units", "quota", "gsu", "ptu"} or part == problem["loc"][-1]
    ]
    line, column = _find_mark(node, location)
    key = ".".join(str(part) for part in location) or "(file)"
    what, hint = problem["msg"], ""
    if problem["type"] == "extra_forbidden":
        what = "unknown key"
        near = difflib.get_close_matches(str(location[-1]), _known_keys(), n=1)
        hint = f" (hint: did you mean `{near[0]}`?)" if near else " (hint: remove it)"
    return f"{path}:{line}:{column} {key}: {what}{hint}"


def _find_mark(node: yaml.Node | None, location: list[str | int]) -> tuple[int, int]:
    """Line and column of the deepest part of `location` that the file holds."""
    found = node
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            found, node = pair
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node = node.value[part]
        else:
            break
    return (1, 1) if found is None else (found.start_mark.line + 1, found.start_mark.column + 1)


def _known_keys() -> list[str]:
    classes: list[type[BaseModel]] = [*_Strict.__subclasses__()]
    return sorted({name for part in classes for name in part.model_fields})
