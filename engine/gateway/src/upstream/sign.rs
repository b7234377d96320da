//! Secrets live here and only here: in memory, behind no `Debug`, gone with the process.

use std::time::SystemTime;

use aws_credential_types::Credentials as AwsIdentity;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use crossfade_core::domain::by_name::ByName;
use crossfade_core::domain::outcome::{ErrorKind, UpstreamError};
use crossfade_core::providers::{Field, Sign, UpstreamCall};
use serde::Deserialize;

use crate::shared::unix_ms;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsCredential {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expires_unix_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BearerCredential {
    token: String,
    expires_unix_s: Option<u64>,
}

/// The credentials document, as control sent it last.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub revision: u64,
    aws: ByName<AwsCredential>,
    bearer: ByName<BearerCredential>,
}

impl Credentials {
    /// Whether there is nothing to sign with under this name: it has not come, or it has expired.
    pub fn lacks(&self, name: &str) -> bool {
        let aws = self.aws.get(name).map(|held| held.expires_unix_s);
        let held = aws.or_else(|| self.bearer.get(name).map(|held| held.expires_unix_s));
        held.is_none_or(|expires_unix_s| fresh(name, expires_unix_s).is_err())
    }

    /// The headers that authenticate `call`, signed now.
    ///
    /// # Errors
    /// Our own fault, as an `Auth` outcome: no such credential yet, or it has expired.
    pub fn authenticate(
        &self,
        call: &UpstreamCall,
        credential: Option<&str>,
    ) -> Result<Vec<Field>, UpstreamError> {
        let name = credential.unwrap_or_default();
        match &call.sign {
            Sign::None => Ok(Vec::new()),
            Sign::Bearer => {
                let held = self.bearer.get(name).ok_or_else(|| missing(name))?;
                fresh(name, held.expires_unix_s)?;
                Ok(vec![("authorization".into(), format!("Bearer {}", held.token).into())])
            }
            Sign::Key { header } => {
                let held = self.bearer.get(name).ok_or_else(|| missing(name))?;
                fresh(name, held.expires_unix_s)?;
                Ok(vec![((*header).into(), held.token.clone().into())])
            }
            Sign::SigV4 { service, region } => {
                let held = self.aws.get(name).ok_or_else(|| missing(name))?;
                fresh(name, held.expires_unix_s)?;
                sigv4(held, call, (service, region))
            }
        }
    }
}

fn sigv4(
    held: &AwsCredential,
    call: &UpstreamCall,
    (service, region): (&str, &str),
) -> Result<Vec<Field>, UpstreamError> {
    let identity = AwsIdentity::new(
        &held.access_key_id,
        &held.secret_access_key,
        held.session_token.clone(),
        None,
        "crossfade",
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| refused(&error.to_string()))?
        .into();
    let url = format!("{}{}", call.base, call.path);
    let headers = call.headers.iter().map(|(name, value)| (&**name, &**value));
    let signable = SignableRequest::new("POST", &url, headers, SignableBody::Bytes(&call.body))
        .map_err(|error| refused(&error.to_string()))?;
    let (instructions, _) =
        sign(signable, &params).map_err(|error| refused(&error.to_string()))?.into_parts();
    Ok(instructions
        .headers()
        .map(|(name, value)| (name.to_owned().into(), value.to_owned().into()))
        .collect())
}

fn fresh(name: &str, expires_unix_s: Option<u64>) -> Result<(), UpstreamError> {
    if expires_unix_s.is_some_and(|at| at.saturating_mul(1000) <= unix_ms()) {
        return Err(refused(&format!("the credential {name} has expired")));
    }
    Ok(())
}

fn missing(name: &str) -> UpstreamError {
    refused(&format!("the credential {name} has not come from control yet"))
}

fn refused(detail: &str) -> UpstreamError {
    UpstreamError { kind: ErrorKind::Auth, detail: detail.to_owned(), http_status: None, pushback_ms: None }
}
