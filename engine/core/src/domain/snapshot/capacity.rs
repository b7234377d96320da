//! What of an endpoint was bought or may be used. Mirrors `crossfade.domain.snapshot`.

use serde::{Deserialize, Serialize};

use super::required;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityClass {
    Provisioned,
    OnDemand,
}

impl CapacityClass {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::OnDemand => "on-demand",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    pub capacity_class: CapacityClass,
    #[serde(deserialize_with = "required")]
    pub units: Option<u32>,
    #[serde(deserialize_with = "required")]
    pub unit: Option<String>,
    #[serde(deserialize_with = "required")]
    pub tokens_per_minute: Option<u64>,
    #[serde(deserialize_with = "required")]
    pub input_tpm: Option<u64>,
    #[serde(deserialize_with = "required")]
    pub output_tpm: Option<u64>,
    #[serde(deserialize_with = "required")]
    pub rpm: Option<u64>,
    #[serde(deserialize_with = "required")]
    pub concurrent: Option<u32>,
    pub books_max_output: bool,
    pub window_s: f64,
    pub spill_at: f64,
    pub spill_back: f64,
    pub headroom: f64,
    pub shadow_at_most: f64,
    pub margin_z: f64,
    pub ceiling_cut: f64,
    pub burst_cut: f64,
    pub cut_every_s: f64,
    pub ceiling_back_per_s: f64,
}
