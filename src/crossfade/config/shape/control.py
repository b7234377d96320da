"""The shape of `control:`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crossfade.config.quantity import DurationS
from crossfade.config.shape.section import Section
from crossfade.domain.people import Role


class FlagsSection(Section):
    """An external flag system. `crossfade.MIGRATION` there is the upper bound of that migration's share."""

    file: str | None = Field(None, description="JSON or YAML file of flag names to values.")
    ofrep: str | None = Field(None, description="Base URL of an OFREP server, such as flagd.")
    back_after: DurationS | None = Field(
        1800.0, description="Unreadable for so long, a share below 50% goes back to 0; null = never."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.file is None) == (self.ofrep is None):
            raise ValueError("name one of file and ofrep (hint: flags: {ofrep: http://127.0.0.1:8016})")
        return self


class MetricSection(Section):
    """A business metric: how many events each arm of a migration has had. Without a source: pushed."""

    prometheus: str | None = Field(None, description="Base URL of a Prometheus server.")
    sql: str | None = Field(None, description="Variable that holds a database URL (sqlite, postgresql).")
    query: str | None = Field(
        None, description="One growing number for an arm, `$arm` in PromQL, `:arm` in SQL."
    )
    every: DurationS = Field(15.0, ge=1, description="How often it is asked.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.prometheus is not None and self.sql is not None:
            raise ValueError("name one of prometheus and sql (hint: neither for events that are pushed)")
        placeholder = "$arm" if self.prometheus is not None else ":arm"
        is_asked = self.prometheus is not None or self.sql is not None
        if is_asked and placeholder not in (self.query or ""):
            raise ValueError(f"the query must name the arm by {placeholder} (hint: asked once for each)")
        if self.query is not None and not is_asked:
            raise ValueError("a query needs a source (hint: prometheus: http://127.0.0.1:9090)")
        return self


class OidcSection(Section):
    """Login at an OpenID Connect provider (authorization code with PKCE)."""

    issuer: str = Field(pattern=r"^https?://\S+$", description="As the provider's own tokens name it.")
    client_id: str = Field(min_length=1, description="Of this console at the provider.")
    client_secret_env: str | None = Field(
        None, description="Variable that holds the client's secret; a public client has none."
    )
    scopes: tuple[str, ...] = Field(("openid", "email", "profile"), description="What is asked for.")
    name_claim: str = Field("email", description="The claim that names a person, in logs and signatures.")
    roles_claim: str = Field("groups", description="The claim whose values are mapped to roles.")
    roles: dict[str, tuple[Role, ...]] = Field(
        default_factory=dict, description="Roles by a value of that claim; everybody else is a viewer."
    )
    public_url: str | None = Field(
        None, description="The console's address as browsers have it, behind a proxy."
    )

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not self.issuer.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("the issuer must be https (hint: only a loopback address may be http)")
        if "openid" not in self.scopes:
            raise ValueError("scopes must contain openid (hint: scopes: [openid, email])")
        return self


class NotifySection(Section):
    """A receiver of notices about migrations."""

    url: str | None = Field(None, description="Address that takes a POST; `env` where it is a secret.")
    env: str | None = Field(None, description="Environment variable that holds the address.")
    form: Literal["json", "slack"] = Field("json", description="What is sent: every field, or `{text}`.")
    on: tuple[Literal["ask", "hold", "rollback", "promote"], ...] = Field(
        ("ask", "hold", "rollback", "promote"),
        description="What is told; of holds those that want a person.",
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.url is None) == (self.env is None):
            raise ValueError("name one of url and env (hint: notify: [{env: SLACK_WEBHOOK, form: slack}])")
        return self


class ControlSection(Section):
    """Where control listens and keeps its state."""

    listen: str = Field("127.0.0.1:4100", description="Address of the API and the console.")
    state: str | None = Field(None, description="Database URL; by default SQLite in the state folder.")
    records: str | None = Field(
        None, description="Folder of Parquet records; by default in the state folder."
    )
    notify: tuple[NotifySection, ...] = Field((), description="Who is told what migrations do.")
    metrics: dict[str, MetricSection] = Field(
        default_factory=dict, description="Business metrics that migrations may be guarded by."
    )
    signing: dict[str, Annotated[str, Field(pattern=r"^(awskms|gcpkms|azurekms):\S+$")]] = Field(
        default_factory=dict,
        description="By signer's name (crossfade-control, or a person): awskms:KEY, gcpkms:KEY or "
        "azurekms:VAULT/KEY. By default each has a key file.",
    )
    oidc: OidcSection | None = Field(
        None, description="Where people log in; without it, by links of `crossfade login`."
    )
    flags: FlagsSection | None = Field(
        None, description="A flag system that may lower a migration's share; its loss lets none be raised."
    )
