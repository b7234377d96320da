"""The shape of `features:` and of the whole file."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from crossfade.config.quantity import Count, DurationS, Share
from crossfade.config.schema import (
    EndpointSection,
    GatewaySection,
    KeySection,
    PersonSection,
    PoolSection,
    PricesSection,
    ProviderSection,
    SharedSection,
)
from crossfade.config.shape.control import ControlSection
from crossfade.config.shape.section import Section
from crossfade.domain.route import JsonScalar, refuse_parameter


def _can_be_sent(overrides: dict[str, JsonScalar]) -> dict[str, JsonScalar]:
    prompt = overrides.get("system", "-")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError('system must be the prompt\'s text (hint: set: {system: "Be brief."})')
    for name, value in overrides.items():
        if why := refuse_parameter(name, value):
            raise ValueError(f"{name} {why} (hint: set: {{temperature: 0.2}})")
    return overrides


Overrides = Annotated[dict[str, JsonScalar], AfterValidator(_can_be_sent)]
SET = "Overrides, by top-level names of OpenAI Chat; `system` stands in place of the caller's system prompt."


class TargetSection(Section):
    """A pool and request overrides."""

    pool: str = Field(description="Name of a pool or of an endpoint.")
    set: Overrides = Field(default_factory=dict, description=SET)


class LimitsSection(Section):
    """Deadlines and attempts of a feature's requests."""

    connect: DurationS = Field(2.0, description="Connect, TLS included.")
    header: DurationS = Field(8.0, description="Response header of a stream.")
    ttft: DurationS = Field(
        30.0, description="First content of a stream; while a backup is left, at most half of what remains."
    )
    ttft_floor: DurationS = Field(4.0, description="A learnt deadline is never shorter than this …")
    ttft_factor: float = Field(2.5, gt=1, description="… and is so many times the endpoint's normal p99.")
    baseline: int = Field(200, ge=20, description="Answers that show what an endpoint's normal is.")
    liveness: DurationS = Field(15.0, description="Longest silence; keep-alives count as a sign of life.")
    progress: DurationS = Field(10.0, description="Longest time without content once it began.")
    ping_progress: DurationS = Field(60.0, description="The same while the provider sends keep-alives.")
    attempts: int = Field(3, ge=1, le=10, description="Attempts per request.")
    same_endpoint_retries: int = Field(1, ge=0, le=3, description="Of those, on an endpoint that failed.")
    retry_within: DurationS = Field(1.0, description="Only failures this quick are retried in place.")
    retry_ratio: float = Field(0.1, ge=0, le=1, description="Retries per first attempt.")
    retry_reserve: float = Field(1.0, ge=0, description="Retries per second beside the ratio.")
    retry_ttl: DurationS = Field(10.0, description="How long first attempts earn retries.")
    pushback_wait: DurationS | None = Field(
        None,
        description="Longest wait of a request for full endpoints without sibling, in all; by class, if not "
        "given: interactive 0.05, standard 2.5, batch half the deadline.",
    )
    trickle: float = Field(1.0, ge=0, description="Requests a second while every endpoint is open …")
    trickle_share: Share = Field(0.05, description="… or this share of the demand, if that is more.")


class StreamsSection(Section):
    """When a stream is committed to."""

    hold: Literal["first-content", "all"] = Field("first-content", description="all = buffered.")
    rescue: tuple[Literal["resume", "matched-restart"], ...] = Field(
        (), description="What is tried for a stream that broke after its caller saw a part of it."
    )


class SpanSection(Section):
    """A range of whole numbers."""

    at_least: Count | None = Field(None, description="This many or more.")
    at_most: Count | None = Field(None, description="This many or fewer.")

    @model_validator(mode="after")
    def _is_a_range(self) -> SpanSection:
        if self.at_least is None and self.at_most is None:
            raise ValueError("names neither at_least nor at_most (hint: {at_most: 1000})")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least is above at_most: no request has this shape")
        return self


class ShapeSection(Section):
    """What a request looks like."""

    input_tokens: SpanSection | None = Field(None, description="Tokens of the prompt, as estimated.")
    output_tokens: SpanSection | None = Field(None, description="The most it may write, if it says so.")
    tools: bool | None = Field(None, description="Whether it offers tools.")
    media: bool | None = Field(None, description="Whether it holds an image, a sound or a file.")
    stream: bool | None = Field(None, description="Whether it asks for a stream.")

    @model_validator(mode="after")
    def _says_something(self) -> ShapeSection:
        if not self.model_fields_set:
            raise ValueError("every request has this shape (hint: when: {input_tokens: {at_most: 1000}})")
        return self


class RuleSection(Section):
    """Another hierarchy for requests of one shape; the first rule that fits decides."""

    when: ShapeSection = Field(description="All of it must hold.")
    hierarchy: tuple[TargetSection, ...] = Field(min_length=1, description="Primary, then backups.")


class PolicySection(Section):
    """What compliance asks of endpoints that see this feature's data."""

    regions: tuple[str, ...] | None = Field(None, description="Regions it may be processed in.")
    retention: str | None = Field(None, description="Retention class, part of what sign-offs bind to.")
    network: str | None = Field(None, description="Network posture, part of what sign-offs bind to.")
    signoffs: tuple[str, ...] = Field((), description="Roles that must sign for a candidate.")
    attest: tuple[str, ...] = Field(
        (), description="Roles that must each attest every fact of a candidate's posture that no API shows."
    )


class ContentSection(Section):
    """Whether text is captured."""

    capture: Share = Field(0.0, description="Share of answers whose text is kept with the record.")
    keep: DurationS = Field(7 * 86400.0, description="How long.")


class FeedbackSection(Section):
    """What follows when users like an endpoint's answers less than they used to."""

    keep: Share = Field(0.25, description="Share of requests that still ask it first; 100% = only tell.")
    for_: DurationS = Field(3600.0, alias="for", ge=60, description="For so long, unless votes renew it.")


class ArmSection(Section):
    """One side of an experiment."""

    share: Share = Field(description="Share of the units.")
    pool: str | None = Field(None, description="Where it goes; without it, the feature's own hierarchy.")
    set: Overrides = Field(default_factory=dict, description=SET)


class ExperimentSection(Section):
    """A share of traffic to another target."""

    name: str = Field(description="Part of the salt: another name draws other units.")
    unit: Literal["user", "session", "request"] = Field("user", description="What sticks to an arm.")
    arms: dict[str, ArmSection] = Field(min_length=2, description="Shares sum to 100 %.")
    until: dt.date | None = Field(None, description="Last day; after it the hierarchy serves.")

    @model_validator(mode="before")
    @classmethod
    def _short_arms(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("arms"), dict):
            arms = {k: {"share": v} if isinstance(v, str) else v for k, v in value["arms"].items()}
            return {**value, "arms": arms}
        return value

    @model_validator(mode="after")
    def _whole(self) -> ExperimentSection:
        total = sum(arm.share for arm in self.arms.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the arms' shares sum to {total * 100:g}% (hint: they must sum to 100%)")
        return self


class FeatureSection(Section):
    """A product capability that calls a model."""

    class_: Literal["interactive", "standard", "batch"] = Field(
        "standard", alias="class", description="Urgency."
    )
    weight: float = Field(
        1.0, gt=0, description="Its part of a shared allowance beside the other features of its class."
    )
    hierarchy: tuple[TargetSection, ...] = Field(min_length=1, description="Primary, then backups.")
    deadline: DurationS = Field(60.0, description="Of the whole request.")
    rules: tuple[RuleSection, ...] = Field((), description="Other hierarchies, by the request's shape.")
    limits: LimitsSection = Field(default_factory=LimitsSection, description="Deadlines and attempts.")
    streams: StreamsSection = Field(default_factory=StreamsSection, description="Streaming.")
    policy: PolicySection = Field(default_factory=PolicySection, description="Compliance.")
    content: ContentSection = Field(default_factory=ContentSection, description="Capture of text.")
    feedback: FeedbackSection = Field(default_factory=FeedbackSection, description="Falling feedback.")
    experiment: ExperimentSection | None = Field(None, description="A/B test.")


class Config(Section):
    """crossfade.yaml."""

    version: Literal[1] = Field(1, description="Form of the file.")
    gateway: GatewaySection = Field(default_factory=GatewaySection)
    control: ControlSection = Field(default_factory=ControlSection)
    shared: SharedSection = Field(default_factory=SharedSection)
    providers: dict[str, ProviderSection] = Field(default_factory=dict)
    endpoints: dict[str, EndpointSection] = Field(min_length=1)
    pools: dict[str, PoolSection] = Field(default_factory=dict)
    features: dict[str, FeatureSection] = Field(min_length=1)
    keys: dict[str, KeySection] = Field(default_factory=dict)
    people: dict[str, PersonSection] = Field(default_factory=dict)
    prices: PricesSection = Field(default_factory=PricesSection)
