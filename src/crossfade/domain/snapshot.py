"""The one document that goes down to the gateways: what they may serve, and how.

A snapshot is complete: every field is present, every default has already been filled in by
`config`. The gateway refuses a snapshot with a missing or an unknown field, so that a value
can never mean one thing here and another there. `spec/snapshot.schema.json` is generated from
these classes. Units are in the names; shares are fractions in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossfade.domain.policy import Attempts, BreakerPolicy, Deadlines
from crossfade.domain.route import Pool, Price, Rule, Signal, Target

FORMAT = 1


class ProviderKind(StrEnum):
    """A company's API as the engine knows it."""

    BEDROCK = "bedrock"
    SAGEMAKER = "sagemaker"
    VERTEX = "vertex"
    GEMINI = "gemini"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    AZURE_OPENAI = "azure-openai"
    COHERE = "cohere"
    OPENAI_COMPATIBLE = "openai-compatible"


class Dialect(StrEnum):
    """A wire format of requests and answers."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC_MESSAGES = "anthropic_messages"
    GEMINI = "gemini"
    BEDROCK_CONVERSE = "bedrock_converse"
    BEDROCK_INVOKE = "bedrock_invoke"
    COHERE_CHAT = "cohere_chat"
    TGI = "tgi"


class AuthScheme(StrEnum):
    """How a call to a provider proves who we are (`api-key`: in the provider's own key header)."""

    NONE = "none"
    BEARER = "bearer"
    API_KEY = "api-key"
    SIGV4 = "sigv4"


class CapacityClass(StrEnum):
    """Whether an endpoint's capacity was bought beforehand or is shared."""

    PROVISIONED = "provisioned"
    ON_DEMAND = "on-demand"


class RequestClass(StrEnum):
    """How urgent a feature's requests are."""

    INTERACTIVE = "interactive"
    STANDARD = "standard"
    BATCH = "batch"


class Hold(StrEnum):
    """How long the gateway holds an answer back before it commits to it."""

    FIRST_CONTENT = "first-content"
    ALL = "all"


class Rescue(StrEnum):
    """What may become of a stream that broke after its caller saw a part of it.

    `resume`: a model that continues a begun answer goes on with it; `matched-restart`: a new answer that
    begins with all that was sent.
    """

    RESUME = "resume"
    MATCHED_RESTART = "matched-restart"


@dataclass(frozen=True, slots=True)
class Key:
    """A virtual key: public `id`, hex HMAC-SHA-256 of the whole key, and what it may use."""

    id: str
    hmac: str
    features: tuple[str, ...]  # "*" = every feature
    measure: bool  # may pin an endpoint, for load tests and judges
    rpm: int | None  # requests a minute
    tpm: int | None  # tokens a minute, in and out
    usd_per_day: float | None  # money a day (UTC), at list or contract prices


@dataclass(frozen=True, slots=True)
class Auth:
    """`credential` names an entry of the credentials document; null for scheme `none`."""

    scheme: AuthScheme
    credential: str | None


@dataclass(frozen=True, slots=True)
class Provider:
    """`base_url` null = the provider's public address for the endpoint's region.

    `project`: where a provider bills the calls, if its addresses name it.
    """

    kind: ProviderKind
    base_url: str | None
    project: str | None
    auth: Auth


@dataclass(frozen=True, slots=True)
class Capacity:
    """`units` with their `unit` name (MU, GSU, PTU, instance); null where nothing is bought.

    Allowances are per minute and of all units together; null ones do not limit. Traffic spills to the next
    place when `spill_at` of one would be in use, and returns below `spill_back`.
    """

    capacity_class: CapacityClass
    units: int | None
    unit: str | None
    tokens_per_minute: int | None  # of all units, or of the shared quota; null where not declared
    input_tpm: int | None
    output_tpm: int | None
    rpm: int | None
    concurrent: int | None  # requests at a time
    books_max_output: bool  # the provider books the most a call may write until it has ended
    window_s: float  # the allowance of so much time may be used at once
    spill_at: float
    spill_back: float
    headroom: float  # the share that batch features leave to the others
    shadow_at_most: float  # copies that only measure stop above this share
    margin_z: float  # standard deviations of unwritten output that are kept free
    ceiling_cut: float  # a surprising "full" lowers what is thought to be there by these …
    burst_cut: float
    cut_every_s: float  # … no more often than this …
    ceiling_back_per_s: float  # … and it comes back by this share of the whole


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model takes of what its dialect can say.

    `sampling`: temperature, `top_p` and `top_k`; `prefill`: a last turn of the assistant's, to be
    continued; `thinking_budget`: a number of thinking tokens, else only an effort; `context`: the most
    tokens of a prompt, where known.
    """

    tools: bool
    images: bool
    documents: bool
    audio: bool
    schema: bool
    prefill: bool
    sampling: bool
    thinking_budget: bool
    context: int | None


class ImageUnit(StrEnum):
    """A way in which providers cut a picture before they count it (sizes in pixels).

    Squares of 512 (of at most 2048 x 2048, then 768 on the short side), of 768 or less, of 32 (at most
    1536 or 10,000 of them), of 28 (at most 1568 or 4784 of them); or the whole, whatever its size.
    """

    IMAGE = "image"
    TILE_512 = "tile_512"
    TILE_768 = "tile_768"
    PATCH_32 = "patch_32"
    PATCH_32_LARGE = "patch_32_large"
    PATCH_28 = "patch_28"
    PATCH_28_LARGE = "patch_28_large"


@dataclass(frozen=True, slots=True)
class ImageCounting:
    """Tokens of `each` picture and of each `unit` that it is `by` this way; `low`: in low detail.

    `low` is null where a provider knows no such thing.
    """

    by: ImageUnit
    each: float
    unit: float
    low: float | None


@dataclass(frozen=True, slots=True)
class Counting:
    """How a model's provider counts a prompt: tokens for each thing in it.

    `piece`: a word, three digits, a mark or a line's end; `turn`: a message; `part`: a text beyond
    the first of each turn; `media`: a sound or file; `tool_piece`: a piece of a tool's name,
    description or schema; `any_tool`, `thinking`, `schema`: what the provider adds by itself where a
    request has one.
    """

    base: float
    piece: float
    turn: float
    part: float
    media: float
    any_tool: float
    tool: float
    tool_piece: float
    thinking: float
    schema: float
    image: ImageCounting


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One addressable, health-checked place serving one model."""

    provider: str
    region: str | None
    model: str
    dialect: Dialect
    counting: Counting
    takes: Capabilities
    capacity: Capacity
    weight: float
    price: Price | None  # null where none is known, or none was asked for
    breaker: BreakerPolicy


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of an experiment; `target` null = the feature's own hierarchy."""

    name: str
    share: float
    target: Target | None


@dataclass(frozen=True, slots=True)
class Experiment:
    """Arms' shares sum to 1. `until_unix_s` null = no end; after it the hierarchy serves."""

    name: str
    salt: str
    arms: tuple[Arm, ...]
    until_unix_s: int | None


@dataclass(frozen=True, slots=True)
class Rollout:
    """The live share of a migration. `epoch` grows with each restart after a rollback.

    `baseline_share`: units of the incumbent marked as the concurrent control arm (same hash,
    the interval just above the candidate's); the rest of the incumbent's units are unmarked.
    Fast path: `dead_hard` HARD outcomes of the first `dead_of`, or an open breaker on every
    candidate endpoint, set the share to 0 in the gateway itself until `epoch` changes.
    """

    migration: str
    epoch: int
    salt: str
    share: float
    baseline_share: float
    candidate: Target
    dead_hard: int
    dead_of: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """Copies of a share of the feature's traffic to `target`, at most `in_flight` at once."""

    name: str
    target: Target
    share: float
    in_flight: int
    capture: bool


@dataclass(frozen=True, slots=True)
class Feature:
    """A product capability that calls a model, and its whole routing policy.

    `rules`: the first whose shape a request has decides its hierarchy. `eligible`: who may see its
    requests, shadows and probes included. `capture_share`: of answers whose text goes into the records.
    """

    request_class: RequestClass
    weight: float  # its part of an allowance beside the other features of its class
    hierarchy: tuple[Target, ...]
    rules: tuple[Rule, ...]
    eligible: tuple[str, ...]
    deadlines: Deadlines
    attempts: Attempts
    hold: Hold
    rescue: tuple[Rescue, ...]  # in this order
    capture_share: float
    signals: tuple[Signal, ...]
    experiment: Experiment | None
    rollout: Rollout | None
    shadow: Shadow | None


@dataclass(frozen=True, slots=True)
class Edge:
    """What the gateway accepts from the network."""

    open_access: bool  # no keys: loopback only
    body_bytes: int
    header_bytes: int
    receive_ms: int
    send_ms: int  # between two pieces that a caller takes
    json_depth: int
    json_values: int  # objects count ten times
    answer_bytes: int  # of one upstream answer, plain or streamed
    bodies_bytes: int  # what large bodies may hold together
    answers_bytes: int  # what large answers may hold together
    drain_ms: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a gateway needs to serve, for ever, without asking anyone."""

    format: int
    version: int
    issued_unix_s: int
    edge: Edge
    keys: tuple[Key, ...]
    providers: dict[str, Provider]
    endpoints: dict[str, Endpoint]
    pools: dict[str, Pool]
    features: dict[str, Feature]
