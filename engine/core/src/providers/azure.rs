//! Azure OpenAI: the v1 surface, where the model is the deployment's name. A `base_url` is the
//! resource's own address (`https://NAME.openai.azure.com`), with or without `/openai/v1`.

use crate::domain::outcome::UpstreamError;
use crate::domain::snapshot::AuthScheme;

use super::{Asked, Sign, UpstreamCall, config_error, openai, split_base};

pub(super) fn call(asked: &Asked<'_>) -> Result<UpstreamCall, UpstreamError> {
    let missing = || config_error("the provider needs a base_url: https://NAME.openai.azure.com");
    let (base, prefix) = split_base(asked.provider.base_url.as_deref().ok_or_else(missing)?);
    let version = if prefix.contains("/openai") { "" } else { "/openai/v1" };
    let mut call = openai::at(asked, base, &[prefix, version].concat(), "")?;
    if asked.provider.auth.scheme == AuthScheme::ApiKey {
        call.sign = Sign::Key { header: "api-key" };
    }
    Ok(call)
}
