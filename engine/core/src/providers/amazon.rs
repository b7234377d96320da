//! What the two AWS runtimes share: path encoding, hosts, the error envelope.

use serde_json::Value;

/// One path segment, percent-encoded: everything but the unreserved characters.
pub(super) fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `(error name, message, body)`: the header wins over the body; `Name:http://…` and `ns#Name`
/// are cleaned. Survives an empty body and HTML.
pub(super) fn envelope(headers: &[(String, String)], body: &[u8]) -> (String, String, Value) {
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let field = |names: &[&str]| {
        names.iter().find_map(|name| value.get(*name)).and_then(Value::as_str).map(str::to_owned)
    };
    let header = headers.iter().find(|(name, _)| name == "x-amzn-errortype").map(|(_, value)| value.clone());
    let raw = header.or_else(|| field(&["code", "Code", "__type"])).unwrap_or_default();
    let name = raw.split(':').next().unwrap_or("");
    let name = name.rsplit('#').next().unwrap_or("").to_owned();
    let message = field(&["message", "Message"]).unwrap_or_default();
    (name, message, value)
}
