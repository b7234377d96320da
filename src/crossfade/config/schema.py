"""The config file's shape, and every default of the product, once.

Parts whose behaviour does not exist yet still parse and are refused with "not available yet: …":
a file must never ask for something that is silently not done.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from crossfade.config.quantity import Bytes, Count, DurationS, Share, Units
from crossfade.config.shape.breaker import BreakerSection
from crossfade.config.shape.section import Section
from crossfade.domain.people import Role
from crossfade.domain.route import Choose
from crossfade.domain.snapshot import Dialect, ProviderKind


def _later(what: str) -> AfterValidator:
    def refuse(value: Any) -> Any:
        if value is not None:
            raise ValueError(f"not available yet: {what}")
        return value

    return AfterValidator(refuse)


def later(what: str) -> Any:
    """The type of a key that is known, documented, and not available yet."""
    return Annotated[Any, _later(what), Field(description=f"Not available yet: {what}.")]


class TlsSection(Section):
    """A certificate, read anew when it changes."""

    cert: str = Field(description="PEM file: the certificate, then those between it and its root.")
    key: str = Field(description="PEM file with its key.")


class GatewaySection(Section):
    """Where the gateway listens and what it accepts from the network."""

    listen: str = Field("127.0.0.1:4000", description="Address of the data port.")
    admin: str = Field("127.0.0.1:4001", description="Address of metrics, health and the kill switch.")
    tls: TlsSection | None = Field(None, description="TLS at the data port.")
    body_limit: Bytes = Field(16 << 20, description="Largest request body.")
    header_limit: Bytes = Field(64 << 10, description="Largest request head.")
    receive: DurationS = Field(30.0, description="A request must have arrived within this time.")
    send: DurationS = Field(
        60.0, description="A caller that takes nothing of its answer for so long is let go."
    )
    json_depth: int = Field(64, ge=1, le=1000, description="Deepest nesting of a request body.")
    json_values: int = Field(
        200_000, ge=1000, description="Most JSON values of a request body; objects count ten times."
    )
    answer_limit: Bytes = Field(64 << 20, description="Largest answer of an upstream, streams included.")
    bodies_held: Bytes = Field(
        48 << 20,
        description="Request bodies of over 1 MiB together, each kept up to 3 times; one more gets a 503.",
    )
    answers_held: Bytes = Field(
        128 << 20,
        description="What answers of over 1 MiB may hold together; one more fails as if full. Until "
        "its caller reads it a stream counts three times, a plain answer four times, be it the only one.",
    )
    drain: DurationS = Field(30.0, description="How long requests in flight may finish on stop.")

    @model_validator(mode="after")
    def _one_fits_into_all(self) -> Self:
        for all_of_them, one in (("bodies_held", "body_limit"), ("answers_held", "answer_limit")):
            if getattr(self, all_of_them) < getattr(self, one):
                hint = f"raise {all_of_them}, or lower {one}"
                raise ValueError(
                    f"{all_of_them} is smaller than {one}: the largest would never fit (hint: {hint})"
                )
        return self


class SharedSection(Section):
    """State shared by several gateways."""

    valkey: later("state shared over Valkey") = None  # type: ignore[valid-type]


AuthMethod = Literal[
    "api-key",
    "default-chain",
    "assume-role",
    "web-identity",
    "workload-identity",
    "managed-identity",
    "none",
]


class AuthSection(Section):
    """How a provider is told who we are. Never holds a secret itself."""

    method: AuthMethod = Field(description="Where the credential comes from.")
    env: str | None = Field(None, description="Variable that holds the key (api-key).")
    file: str | None = Field(None, description="File that holds the key (api-key).")
    secret: str | None = Field(
        None,
        pattern=r"^aws:[^#]+(#.+)?$",
        description="Secret that holds the key (api-key): aws:NAME, or aws:NAME#KEY of a JSON secret.",
    )
    cloud: Literal["gcp", "azure"] | None = Field(
        None, description="Whose access tokens, where the provider's kind does not say."
    )
    role: str | None = Field(None, description="Role to assume.")
    token_file: str | None = Field(None, description="File with the workload's own token.")
    audience: str | None = Field(None, description="Audience of the token exchange.")
    via: AuthSection | None = Field(None, description="The identity that assumes the role, or is federated.")
    external_id: str | None = Field(None, description="External id of the role.")
    session_name: str = Field("crossfade", description="Name of the role's session, as audits show it.")
    session_tags: dict[str, str] = Field(
        default_factory=dict, description="Tags of the role's session; they stay on along a chain."
    )
    service_account: str | None = Field(None, description="Google service account to impersonate.")
    tenant: str | None = Field(None, description="Entra tenant.")
    client_id: str | None = Field(None, description="Entra application, or user-assigned identity.")
    scope: str | None = Field(None, description="Scope of the Entra token; by default the model APIs'.")
    sts_url: str | None = Field(None, description="Another address of the token service.")
    sts_region: str = Field("us-east-1", description="Region of the token service.")


Kind = Literal[
    "bedrock",
    "sagemaker",
    "vertex",
    "gemini",
    "openai",
    "anthropic",
    "azure-openai",
    "cohere",
    "openai-compatible",
]

# A kind's dialects, the usual one first.
DIALECTS_OF_KIND: dict[ProviderKind, tuple[Dialect, ...]] = {
    ProviderKind.BEDROCK: (Dialect.BEDROCK_CONVERSE, Dialect.BEDROCK_INVOKE),
    ProviderKind.SAGEMAKER: (Dialect.OPENAI_CHAT, Dialect.TGI),
    ProviderKind.VERTEX: (Dialect.GEMINI, Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_CHAT),
    ProviderKind.GEMINI: (Dialect.GEMINI,),
    ProviderKind.OPENAI: (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES),
    ProviderKind.ANTHROPIC: (Dialect.ANTHROPIC_MESSAGES,),
    ProviderKind.AZURE_OPENAI: (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES),
    ProviderKind.COHERE: (Dialect.COHERE_CHAT,),
    ProviderKind.OPENAI_COMPATIBLE: (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES),
}
AWS_KINDS = (ProviderKind.BEDROCK, ProviderKind.SAGEMAKER)
# Kinds whose keys travel in a header of their own.
KEYED_KINDS = (ProviderKind.VERTEX, ProviderKind.GEMINI, ProviderKind.ANTHROPIC, ProviderKind.AZURE_OPENAI)
CONVENTIONAL_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "cohere": "CO_API_KEY",
}


class ProviderSection(Section):
    """A company's API and our account there."""

    kind: Kind = Field(description="Which API.")
    auth: AuthSection = Field(description="How we authenticate.")
    base_url: str | None = Field(None, description="Another address: private endpoints, simulated clouds.")
    account: str | None = Field(None, description="Account the calls are made in.")
    project: str | None = Field(None, description="Project the calls are made in.")
    vpc: str | None = Field(
        None,
        pattern=r"^vpc-[0-9a-f]+$",
        description="Network the gateways run in, read for posture evidence.",
    )
    resource: str | None = Field(
        None, pattern=r"^/subscriptions/.+$", description="Azure account's resource id, read for the same."
    )


CLOUD_OF_KIND = {"bedrock": "aws", "sagemaker": "aws", "vertex": "gcp", "azure-openai": "azure"}


def cloud_of(provider: ProviderSection) -> str | None:
    """Whose identities a provider takes; None where it knows keys only and the file names no cloud."""
    return CLOUD_OF_KIND.get(provider.kind, provider.auth.cloud)


class PerUnitSection(Section):
    """What one unit is worth."""

    input_tpm: Count | None = Field(None, description="Input tokens per minute.")
    output_tpm: Count | None = Field(None, description="Output tokens per minute.")
    concurrent: int | None = Field(None, ge=1, description="Requests at a time.")


class CapacitySection(Section):
    """Whether the endpoint's capacity was bought, and how much."""

    class_: Literal["provisioned", "on-demand"] = Field(
        "on-demand", alias="class", description="Bought or shared."
    )
    units: Units | None = Field(None, description="Units bought, with their name: 6 MU.")
    per_unit: PerUnitSection | None = Field(None, description="What one unit is worth.")
    tpm: Count | None = Field(None, description="Tokens per minute of the shared quota.")
    rpm: Count | None = Field(None, description="Requests per minute of the shared quota.")
    window: DurationS = Field(10.0, gt=0, description="So much of the allowance may be used at once.")
    spill_at: Share = Field(0.95, gt=0, le=1, description="Traffic goes elsewhere when so much is in use …")
    spill_back: Share = Field(0.85, gt=0, le=1, description="… and comes back when this much is.")
    headroom: Share = Field(0.20, ge=0, lt=1, description="What batch features leave to the others.")
    shadow_at_most: Share = Field(0.60, ge=0, le=1, description="Above this, no copies that only measure.")
    overflow_risk: float = Field(
        0.01, gt=0, lt=0.5, description="Risk that answers under way write more than was kept free for them."
    )
    ceiling_cut: Share = Field(0.95, gt=0, description='A surprising "full" leaves this share of the rate …')
    burst_cut: Share = Field(0.7, gt=0, description="… and of the burst …")
    cut_every: DurationS = Field(2.0, description="… no more often than this …")
    ceiling_back: Share = Field(0.06, gt=0, description="… and this much comes back each minute.")

    @model_validator(mode="after")
    def _marks_are_in_order(self) -> Self:
        if self.spill_back > self.spill_at:
            raise ValueError("spill_back is above spill_at (hint: traffic returns below the mark it left at)")
        return self

    def of_all_units(self, each: int | None) -> int | None:
        """An allowance of one unit times the units bought; None where either is not declared."""
        return None if each is None or self.units is None else each * self.units[0] or None

    def tokens_per_minute(self) -> int | None:
        """Declared tokens a minute, input and output together; None where nothing is declared."""
        if self.tpm is not None:
            return self.tpm
        if self.units is None or self.per_unit is None:
            return None
        each = (self.per_unit.input_tpm or 0) + (self.per_unit.output_tpm or 0)
        return self.units[0] * each or None


class CapabilitiesSection(Section):
    """What the endpoint's model takes, over its built-in profile; what is left out stays as that has it."""

    tools: bool | None = Field(None, description="Calls tools.")
    images: bool | None = Field(None, description="Reads images.")
    documents: bool | None = Field(None, description="Reads documents.")
    audio: bool | None = Field(None, description="Hears audio.")
    schema_: bool | None = Field(None, alias="schema", description="Answers by a JSON schema.")
    prefill: bool | None = Field(None, description="Continues a last turn of the assistant's.")
    sampling: bool | None = Field(None, description="Takes temperature, top_p and top_k.")
    thinking_budget: bool | None = Field(None, description="Takes a number of thinking tokens.")
    context: Count | None = Field(None, ge=1, description="Most tokens of a prompt.")


class EndpointSection(Section):
    """One addressable, health-checked place serving one model."""

    provider: str = Field(description="Name of the provider.")
    model: str = Field(description="Model id as the provider knows it; an endpoint name for SageMaker.")
    region: str | None = Field(None, description="Region the call goes to.")
    dialect: str | None = Field(None, description="Over the one that follows from the provider's kind.")
    capacity: CapacitySection = Field(default_factory=CapacitySection, description="Its capacity.")
    capabilities: CapabilitiesSection = Field(
        default_factory=CapabilitiesSection, description="What it takes, over its model's profile."
    )
    weight: float = Field(1.0, gt=0, description="Share among a pool's endpoints where `choose: weighted`.")
    breaker: BreakerSection = Field(default_factory=BreakerSection, description="Its health rules.")


class PoolSection(Section):
    """Interchangeable endpoints of one model."""

    endpoints: tuple[str, ...] = Field(min_length=1, description="Names of endpoints, preferred first.")
    choose: Literal["in-order", "weighted", "fastest", "cheapest", "affinity"] = Field(
        Choose.IN_ORDER.value, description="How to pick among healthy ones."
    )
    explore: Share = Field(0.05, description="`fastest`: share of requests that try another than the first.")
    penalty: DurationS = Field(5.0, description="`fastest`: what a failure counts beside the time.")
    memory: DurationS = Field(300.0, gt=0, description="`fastest`: answers this old weigh a third.")
    load_bound: float = Field(
        1.25, ge=1, description="`affinity`: so far above its share of the load an endpoint keeps prefixes."
    )
    busy_at: Share = Field(0.80, description="`affinity`: above this use of its capacity it does not.")
    compared: int = Field(8, ge=2, description="`fastest`: of more endpoints, so many drawn at random.")


class KeySection(Section):
    """A virtual key: only its hash is in the file."""

    hash: str = Field(pattern=r"^cfh_[A-Za-z0-9-]+_[0-9a-f]{64}$", description="From `crossfade key create`.")
    features: tuple[str, ...] = Field(("*",), description="Features it may use; * = all.")
    rpm: Count | None = Field(None, ge=1, description="Requests per minute, at each gateway.")
    tpm: Count | None = Field(None, ge=1, description="Tokens per minute, in and out, at each gateway.")
    usd_per_day: float | None = Field(
        None, gt=0, description="USD per day (UTC), at each gateway; a hard stop, with an alarm at 80 %."
    )


class PersonSection(Section):
    """A person who may change what control does: only the hash of the token is in the file."""

    hash: str = Field(
        pattern=r"^cfh_[A-Za-z0-9-]+_[0-9a-f]{64}$", description="From `crossfade person create`."
    )
    roles: tuple[Role, ...] = Field(
        (Role.VIEWER,), description="`operator` holds and rolls back, `releaser` starts and advances, …"
    )


class PricesSection(Section):
    """Prices over the public list."""

    contract: str | None = Field(None, description="File with contract prices.")
