//! The snapshot: everything a gateway needs to serve. Mirrors `crossfade.domain.snapshot`, where
//! every field is explained and every default is made; here nothing has a default, so a missing
//! or unknown field is refused instead of guessed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::chat::Capabilities;
use super::prompt::Counting;

pub use super::capacity::{Capacity, CapacityClass};

/// The only document form this engine reads.
pub const FORMAT: u32 = 1;

/// Makes an `Option` field required: `null` is an answer, absence is an error.
pub(super) fn required<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    Bedrock,
    Sagemaker,
    Vertex,
    Gemini,
    Openai,
    Anthropic,
    AzureOpenai,
    Cohere,
    OpenaiCompatible,
}

impl ProviderKind {
    /// The name used in config, records and headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            Self::Sagemaker => "sagemaker",
            Self::Vertex => "vertex",
            Self::Gemini => "gemini",
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::AzureOpenai => "azure-openai",
            Self::Cohere => "cohere",
            Self::OpenaiCompatible => "openai-compatible",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    OpenaiChat,
    OpenaiResponses,
    AnthropicMessages,
    Gemini,
    BedrockConverse,
    BedrockInvoke,
    CohereChat,
    Tgi,
    OpenaiEmbeddings,
    GeminiEmbeddings,
    CohereEmbeddings,
    VertexEmbeddings,
    TitanEmbeddings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthScheme {
    None,
    Bearer,
    ApiKey,
    Sigv4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choose {
    InOrder,
    Weighted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestClass {
    Interactive,
    Standard,
    Batch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    FirstContent,
    All,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub id: String,
    pub hmac: String,
    pub features: Vec<String>,
    pub measure: bool,
    /// Requests and tokens a minute; `None` = no limit.
    #[serde(deserialize_with = "required")]
    pub rpm: Option<u64>,
    #[serde(deserialize_with = "required")]
    pub tpm: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub scheme: AuthScheme,
    #[serde(deserialize_with = "required")]
    pub credential: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    pub kind: ProviderKind,
    #[serde(deserialize_with = "required")]
    pub base_url: Option<String>,
    #[serde(deserialize_with = "required")]
    pub project: Option<String>,
    pub auth: Auth,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerPolicy {
    pub consecutive_hard: u32,
    pub distinct_requests: u32,
    pub hard_share: f64,
    pub confidence: f64,
    pub min_hard: u32,
    pub windows_s: Vec<u32>,
    pub open_s: f64,
    pub open_cap_s: f64,
    pub long_open_s: f64,
    pub long_open_after: u32,
    pub jitter: f64,
    pub probe_successes: u32,
    pub ramp_shares: Vec<f64>,
    pub ramp_outcomes: Vec<u32>,
    pub ramp_dwell_s: f64,
    pub ramp_patience_s: f64,
    pub ramp_hard_share: f64,
    pub slow_share: f64,
    pub slow_confidence: f64,
    pub min_slow: u32,
    pub slow_windows_s: Vec<u32>,
    pub slow_entry_share: f64,
    pub ramp_slow_share: f64,
    pub down_slow_share: f64,
    pub down_overload_share: f64,
    pub ramp_dwell_cap_s: f64,
    pub shortage_share: f64,
    pub shortage_min: u32,
    pub shortage_window_s: u32,
    pub shortage_used_share: f64,
    pub probe_hedge_ms: u64,
    pub canary_after_s: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub provider: String,
    #[serde(deserialize_with = "required")]
    pub region: Option<String>,
    pub model: String,
    pub dialect: Dialect,
    pub counting: Counting,
    pub takes: Capabilities,
    pub capacity: Capacity,
    pub weight: f64,
    pub breaker: BreakerPolicy,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub endpoints: Vec<String>,
    pub choose: Choose,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub pool: String,
    pub set: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    pub connect_ms: u64,
    pub header_ms: u64,
    pub first_content_ms: u64,
    pub first_content_floor_ms: u64,
    pub first_content_factor: f64,
    pub liveness_ms: u64,
    pub progress_ms: u64,
    pub ping_progress_ms: u64,
    pub total_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    pub max_attempts: u32,
    pub same_endpoint_retries: u32,
    pub retry_within_ms: u64,
    pub retry_ratio: f64,
    pub retry_reserve_per_s: f64,
    pub retry_ttl_s: f64,
    pub pushback_wait_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    pub name: String,
    pub share: f64,
    #[serde(deserialize_with = "required")]
    pub target: Option<Target>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    pub name: String,
    pub salt: String,
    pub arms: Vec<Arm>,
    #[serde(deserialize_with = "required")]
    pub until_unix_s: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    pub migration: String,
    pub epoch: u32,
    pub salt: String,
    pub share: f64,
    pub baseline_share: f64,
    pub candidate: Target,
    pub dead_hard: u32,
    pub dead_of: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    pub name: String,
    pub target: Target,
    pub share: f64,
    pub in_flight: u32,
    pub capture: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub request_class: RequestClass,
    pub hierarchy: Vec<Target>,
    pub eligible: Vec<String>,
    pub deadlines: Deadlines,
    pub attempts: Attempts,
    pub hold: Hold,
    pub capture_share: f64,
    #[serde(deserialize_with = "required")]
    pub experiment: Option<Experiment>,
    #[serde(deserialize_with = "required")]
    pub rollout: Option<Rollout>,
    #[serde(deserialize_with = "required")]
    pub shadow: Option<Shadow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    pub open_access: bool,
    pub body_bytes: usize,
    pub header_bytes: usize,
    pub receive_ms: u64,
    pub json_depth: u32,
    pub json_values: u32,
    pub answer_bytes: usize,
    pub drain_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub format: u32,
    pub version: u64,
    pub issued_unix_s: u64,
    pub edge: Edge,
    pub keys: Vec<Key>,
    pub providers: BTreeMap<String, Provider>,
    pub endpoints: BTreeMap<String, Endpoint>,
    pub pools: BTreeMap<String, Pool>,
    pub features: BTreeMap<String, Feature>,
}

/// Why a snapshot was refused. The gateway keeps serving from the one before.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot does not parse: {0} (hint: control and gateway must be of one version)")]
    Form(#[from] serde_json::Error),
    #[error("the snapshot has format {found}, this engine reads {FORMAT} (hint: upgrade the gateway first)")]
    Format { found: u32 },
    #[error("the snapshot's {place} names {name:?}, which it does not define")]
    Dangling { place: String, name: String },
}

impl Snapshot {
    /// Reads and checks a snapshot document.
    ///
    /// # Errors
    /// A missing or unknown field, another format, or a name that leads nowhere.
    pub fn parse(json: &[u8]) -> Result<Self, SnapshotError> {
        let snapshot: Self = serde_json::from_slice(json)?;
        if snapshot.format != FORMAT {
            return Err(SnapshotError::Format { found: snapshot.format });
        }
        snapshot.check_names()?;
        Ok(snapshot)
    }

    /// How the endpoint that a feature asks first counts tokens.
    #[must_use]
    pub fn counting_of(&self, feature: &str) -> Option<Counting> {
        let target = self.features.get(feature)?.hierarchy.first()?;
        let endpoint = self.pools.get(&target.pool)?.endpoints.first()?;
        Some(self.endpoints.get(endpoint)?.counting)
    }

    fn check_names(&self) -> Result<(), SnapshotError> {
        let known = |defined: bool, place: String, name: &str| {
            if defined { Ok(()) } else { Err(SnapshotError::Dangling { place, name: name.to_owned() }) }
        };
        for (id, endpoint) in &self.endpoints {
            let defined = self.providers.contains_key(&endpoint.provider);
            known(defined, format!("endpoint {id}"), &endpoint.provider)?;
        }
        for (id, pool) in &self.pools {
            for name in &pool.endpoints {
                known(self.endpoints.contains_key(name), format!("pool {id}"), name)?;
            }
        }
        for (id, feature) in &self.features {
            for target in feature.targets() {
                known(self.pools.contains_key(&target.pool), format!("feature {id}"), &target.pool)?;
            }
        }
        Ok(())
    }
}

impl Feature {
    /// Every target the feature can send anything to, shadows included.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let arms = self.experiment.iter().flat_map(|e| e.arms.iter().filter_map(|a| a.target.as_ref()));
        let rollout = self.rollout.iter().map(|r| &r.candidate);
        let shadow = self.shadow.iter().map(|s| &s.target);
        self.hierarchy.iter().chain(arms).chain(rollout).chain(shadow)
    }
}
