//! What a caller's body cannot do without, whatever its dialect.

use serde_json::{Map, Value};

use crate::domain::prompt::PromptSize;
use crate::domain::request::Needs;
use crate::wire::loose::text_in;

/// The needs of a body of this size.
#[must_use]
pub fn needs_of(body: &Map<String, Value>, size: &PromptSize) -> Needs {
    let mut needs = Needs { tools: size.tools > 0, schema: size.schema, ..Needs::default() };
    let said = ["messages", "input"].iter().find_map(|name| body.get(*name)).and_then(Value::as_array);
    let last = said.and_then(|said| said.last());
    // Calls without their results are a broken conversation rather than one to be continued.
    needs.prefill = last
        .is_some_and(|last| text_in(last, "role") == Some("assistant") && last.get("tool_calls").is_none());
    if size.holds_media() {
        said.into_iter().flatten().for_each(|message| media(message, &mut needs));
    }
    needs
}

fn media(value: &Value, needs: &mut Needs) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| media(item, needs)),
        Value::Object(fields) => match text_in(value, "type") {
            Some("image" | "image_url" | "input_image") => needs.images = true,
            Some("document" | "file" | "input_file") => needs.documents |= is_file(value),
            Some("input_audio") => needs.audio = true,
            _ => fields.values().for_each(|field| media(field, needs)),
        },
        _ => {}
    }
}

/// A document written out as text needs nothing of the model.
fn is_file(part: &Value) -> bool {
    let kind = part.get("source").and_then(|source| text_in(source, "type"));
    !matches!(kind, Some("text" | "content"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::prompt::size_of;

    fn needs(body: Value) -> Needs {
        let body = body.as_object().unwrap();
        needs_of(body, &size_of(body))
    }

    #[test]
    fn each_dialect_says_what_it_needs() {
        let data = "data:image/png;base64,aGk=";
        let user = |part: Value| json!([{"role": "user", "content": [part]}]);
        let image = Needs { images: true, ..Needs::default() };
        assert_eq!(
            needs(json!({"messages": user(json!({"type": "image_url", "image_url": {"url": data}}))})),
            image
        );
        assert_eq!(needs(json!({"input": user(json!({"type": "input_image", "image_url": data}))})), image);
        let source = json!({"type": "base64", "media_type": "application/pdf", "data": "A".repeat(300)});
        let pdf = needs(json!({"messages": user(json!({"type": "document", "source": source}))}));
        assert_eq!(pdf, Needs { documents: true, ..Needs::default() });
        let last = needs(json!({"messages": [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The answer is"}]}));
        assert_eq!(last, Needs { prefill: true, ..Needs::default() });
        assert_eq!(needs(json!({"messages": [{"role": "user", "content": "Hi"}]})), Needs::default());
    }
}
