//! Which provider kinds embed, and in whose form. An endpoint's own dialect is that of its chats;
//! embeddings are another operation at the same address.

use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::{Dialect, Endpoint, ProviderKind};
use crate::wire::translate::refused;

use super::{Asked, UpstreamCall, azure, bedrock, cohere, google, openai};

pub(super) fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    let at = |dialect: Dialect| Endpoint { dialect, ..asked.endpoint.clone() };
    match asked.provider.kind {
        ProviderKind::Openai | ProviderKind::OpenaiCompatible => {
            openai::call(&Asked { endpoint: &at(Dialect::OpenaiEmbeddings), ..*asked })
        }
        ProviderKind::AzureOpenai => {
            azure::call(&Asked { endpoint: &at(Dialect::OpenaiEmbeddings), ..*asked })
        }
        ProviderKind::Gemini => google::call(&Asked { endpoint: &at(Dialect::GeminiEmbeddings), ..*asked }),
        ProviderKind::Cohere => cohere::call(&Asked { endpoint: &at(Dialect::CohereEmbeddings), ..*asked }),
        ProviderKind::Vertex => google::call(&Asked { endpoint: &at(Dialect::VertexEmbeddings), ..*asked }),
        // Two families embed there; an id that names neither is of the cloud's own.
        ProviderKind::Bedrock if asked.endpoint.model.contains("cohere") => {
            bedrock::call(&Asked { endpoint: &at(Dialect::CohereEmbeddings), ..*asked })
        }
        ProviderKind::Bedrock => bedrock::call(&Asked { endpoint: &at(Dialect::TitanEmbeddings), ..*asked }),
        kind @ (ProviderKind::Sagemaker | ProviderKind::Anthropic) => {
            let kind = kind.as_str();
            Err(refused(&format!("embeddings have no form at a provider of kind {kind}")))
        }
    }
}
