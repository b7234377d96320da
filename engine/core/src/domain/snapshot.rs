//! The snapshot: everything a gateway needs to serve. Mirrors `crossfade.domain.snapshot`, where
//! every field is explained and every default is made; here nothing has a default, so a missing
//! or unknown field is refused instead of guessed.

use serde::{Deserialize, Deserializer, Serialize};

use super::by_name::{ByName, Names};
use super::chat::Capabilities;
use super::prompt::Counting;

mod capacity;
mod policy;
mod route;

pub use capacity::{Capacity, CapacityClass};
pub use policy::{Attempts, BreakerPolicy, Deadlines};
pub use route::{Choose, Pool, Price, Rule, Shape, Signal, Span, Target};

/// The only document form this engine reads.
pub const FORMAT: u32 = 1;

/// Makes an `Option` field required: `null` is an answer, absence is an error.
pub(in crate::domain) fn required<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
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

/// What may become of a stream that broke after its caller saw a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rescue {
    Resume,
    MatchedRestart,
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
    /// Money a day (UTC); `None` = no limit.
    #[serde(deserialize_with = "required")]
    pub usd_per_day: Option<f64>,
}

impl Key {
    /// Whether it has an allowance of anything.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.rpm.is_some() || self.tpm.is_some() || self.usd_per_day.is_some()
    }
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
    #[serde(deserialize_with = "required")]
    pub price: Option<Price>,
    pub breaker: BreakerPolicy,
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
    /// Its part of an allowance beside the other features of its class.
    pub weight: f64,
    pub hierarchy: Vec<Target>,
    pub rules: Vec<Rule>,
    pub eligible: Names,
    pub deadlines: Deadlines,
    pub attempts: Attempts,
    pub hold: Hold,
    pub rescue: Vec<Rescue>,
    pub capture_share: f64,
    pub signals: Vec<Signal>,
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
    /// Between two pieces that a caller takes.
    pub send_ms: u64,
    pub json_depth: u32,
    pub json_values: u32,
    pub answer_bytes: usize,
    /// What large bodies may hold together, and large answers.
    pub bodies_bytes: usize,
    pub answers_bytes: usize,
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
    pub providers: ByName<Provider>,
    pub endpoints: ByName<Endpoint>,
    pub pools: ByName<Pool>,
    pub features: ByName<Feature>,
    /// Whether any pool chooses by the prompt's stable part: asked for each request, and mostly none does.
    #[serde(skip)]
    by_prefix: bool,
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
        let mut snapshot: Self = serde_json::from_slice(json)?;
        snapshot.sort();
        if snapshot.format != FORMAT {
            return Err(SnapshotError::Format { found: snapshot.format });
        }
        snapshot.check_names()?;
        snapshot.by_prefix = snapshot.pools.values().any(|pool| pool.choose == Choose::Affinity);
        Ok(snapshot)
    }

    /// The same order in every gateway, whoever wrote the document; keys are looked up by it.
    fn sort(&mut self) {
        self.keys.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self.providers.sort_unstable_keys();
        self.endpoints.sort_unstable_keys();
        self.pools.sort_unstable_keys();
        self.features.sort_unstable_keys();
    }

    /// The key with this public id.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&Key> {
        let place = self.keys.binary_search_by(|key| key.id.as_str().cmp(id)).ok()?;
        self.keys.get(place)
    }

    /// How the endpoint that a feature asks first counts tokens.
    #[must_use]
    pub fn counting_of(&self, feature: &str) -> Option<Counting> {
        let target = self.features.get(feature)?.hierarchy.first()?;
        let endpoint = self.pools.get(&target.pool)?.endpoints.first()?;
        Some(self.endpoints.get(endpoint)?.counting)
    }

    /// Whether a pool that the feature may use chooses by the prompt's stable part.
    #[must_use]
    pub fn chooses_by_prefix(&self, feature: &str) -> bool {
        let targets = self.features.get(feature).into_iter().flat_map(Feature::targets);
        let mut pools = targets.filter_map(|target| self.pools.get(&target.pool));
        self.by_prefix && pools.any(|pool| pool.choose == Choose::Affinity)
    }

    /// Whether the config says how much the feature's models may write, whatever a caller says.
    #[must_use]
    pub fn limits_output(&self, feature: &str) -> bool {
        let set = |target: &Target, name: &str| target.set.get(name).is_some_and(|limit| !limit.is_null());
        let limits = |target: &Target| set(target, "max_tokens") || set(target, "max_completion_tokens");
        self.features.get(feature).is_some_and(|feature| feature.hierarchy.iter().all(limits))
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
            for Signal { endpoint, .. } in &feature.signals {
                known(self.endpoints.contains_key(endpoint), format!("signal of {id}"), endpoint)?;
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
        let rules = self.rules.iter().flat_map(|rule| &rule.hierarchy);
        self.hierarchy.iter().chain(rules).chain(arms).chain(rollout).chain(shadow)
    }
}
