//! What a caller's head says that matters here, read in one pass: most heads have few of the fields
//! that some request may have.

use hyper::Version;
use hyper::header::{HeaderMap, HeaderValue};

/// The first value of each field; one that is not visible ASCII counts as absent.
#[derive(Debug, Default)]
pub struct CallerHead<'a> {
    pub authorization: Option<&'a str>,
    pub api_key: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub feature: Option<&'a str>,
    pub session: Option<&'a str>,
    pub deadline_ms: Option<&'a str>,
    pub pin: Option<&'a str>,
    pub accept: Option<&'a str>,
    pub opt_ins: Vec<&'a str>,
    form: Form<'a>,
}

/// How the request and its body come.
#[derive(Debug, Default)]
struct Form<'a> {
    /// Two keys in one field that should have one.
    keys_differ: bool,
    hosts: usize,
    codings: usize,
    strange_coding: bool,
    content_encoding: Option<&'a str>,
    expect: Option<&'a str>,
    content_type: Option<&'a str>,
}

/// Why a head is refused: status, problem, hint.
pub type Inadmissible = (u16, &'static str, &'static str);

/// Of a field that says something, but nothing readable.
const UNREADABLE: &str = "?";

impl<'a> CallerHead<'a> {
    /// Reads a head; `opt_in` names the field in which callers of the dialect opt into more.
    #[must_use]
    pub fn read(headers: &'a HeaderMap, opt_in: Option<&str>) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            let text = value.to_str().ok();
            let field = match name.as_str() {
                "authorization" => &mut said.authorization,
                "x-api-key" => &mut said.api_key,
                "x-crossfade-request-id" => &mut said.request_id,
                "x-crossfade-feature" => &mut said.feature,
                "x-crossfade-session" => &mut said.session,
                "x-crossfade-deadline-ms" => &mut said.deadline_ms,
                "x-crossfade-pin" => &mut said.pin,
                "x-crossfade-accept" => &mut said.accept,
                name if Some(name) == opt_in => {
                    said.opt_ins.extend(text);
                    continue;
                }
                name => {
                    said.form.note(name, value);
                    continue;
                }
            };
            if matches!(name.as_str(), "authorization" | "x-api-key")
                && field.is_some_and(|one| text != Some(one))
            {
                said.form.keys_differ = true;
            }
            *field = field.or(text);
        }
        said
    }

    /// Whether the caller knows what to do with an answer that begins anew.
    #[must_use]
    pub fn accepts_restart(&self) -> bool {
        self.accept.is_some_and(|words| words.split(',').any(|word| word.trim() == "restart"))
    }

    /// What a head must not ask of us: a host it cannot agree on with itself, an encoding we do not
    /// undo, a form that is not JSON.
    ///
    /// # Errors
    /// The first such thing.
    pub fn admissible(&self, version: Version) -> Result<(), Inadmissible> {
        let form = &self.form;
        if form.hosts > 1 || (form.hosts == 0 && version == Version::HTTP_11) {
            return Err((400, "the request must name one Host", "send exactly one Host header"));
        }
        if form.keys_differ {
            return Err((400, "the request has two different keys", "send one Authorization or x-api-key"));
        }
        if form.strange_coding || form.codings > 1 {
            return Err((400, "the transfer encoding is not supported", "send chunked, or a Content-Length"));
        }
        let differs =
            |value: Option<&str>, wanted: &str| value.is_some_and(|v| !v.eq_ignore_ascii_case(wanted));
        if differs(form.content_encoding, "identity") {
            return Err((
                415,
                "compressed requests are not accepted",
                "send the body without Content-Encoding",
            ));
        }
        if differs(form.expect, "100-continue") {
            return Err((417, "the expectation cannot be met", "leave out Expect"));
        }
        if !is_json(form.content_type.unwrap_or_default()) {
            return Err((415, "the body's type is not supported", "send Content-Type: application/json"));
        }
        Ok(())
    }
}

impl<'a> Form<'a> {
    fn note(&mut self, name: &str, value: &'a HeaderValue) {
        let text = Some(value.to_str().unwrap_or(UNREADABLE));
        match name {
            "host" => self.hosts += 1,
            "transfer-encoding" => {
                self.codings += 1;
                self.strange_coding |= !value.as_bytes().eq_ignore_ascii_case(b"chunked");
            }
            "content-encoding" => self.content_encoding = self.content_encoding.or(text),
            "expect" => self.expect = self.expect.or(text),
            "content-type" => self.content_type = self.content_type.or(text),
            _ => {}
        }
    }
}

/// JSON in any of its names, or what clients send when nobody told them a type.
fn is_json(form: &str) -> bool {
    if form == "application/json" {
        return true;
    }
    let form = form.to_ascii_lowercase();
    let unsaid = ["", "application/x-www-form-urlencoded", "text/plain"];
    form.contains("json") || unsaid.contains(&form.split(';').next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let value = |v| HeaderValue::from_static(v);
        fields.iter().fold(HeaderMap::new(), |mut all, (name, v)| {
            all.append(*name, value(v));
            all
        })
    }

    #[test]
    fn the_first_of_a_field_counts_and_opt_ins_all_do() {
        let headers =
            headers(&[("x-crossfade-pin", "a"), ("x-crossfade-pin", "b"), ("beta", "1"), ("beta", "2")]);
        let said = CallerHead::read(&headers, Some("beta"));

        assert_eq!((said.pin, said.opt_ins, said.feature), (Some("a"), vec!["1", "2"], None));
        assert!(CallerHead::read(&headers, None).opt_ins.is_empty());
    }

    #[test]
    fn a_head_that_cannot_be_served_is_refused() {
        let status = |fields: &[(&'static str, &'static str)]| {
            CallerHead::read(&headers(fields), None).admissible(Version::HTTP_11).map_err(|refused| refused.0)
        };
        for fine in ["application/json", "Application/vnd.x+JSON; charset=utf-8", "text/plain; x=y", ""] {
            assert_eq!(status(&[("host", "h"), ("content-type", fine)]), Ok(()), "{fine}");
        }
        assert_eq!(status(&[("host", "h"), ("expect", "100-Continue")]), Ok(()));
        for (refused, fields) in [
            (400, &[("content-type", "application/json")][..]),
            (400, &[("host", "a"), ("host", "b")]),
            (400, &[("host", "h"), ("transfer-encoding", "gzip, chunked")]),
            (400, &[("host", "h"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]),
            (400, &[("host", "h"), ("authorization", "Bearer a"), ("authorization", "Bearer b")]),
            (400, &[("host", "h"), ("x-api-key", "a"), ("x-api-key", "b")]),
            (415, &[("host", "h"), ("content-encoding", "gzip")]),
            (415, &[("host", "h"), ("content-type", "multipart/form-data")]),
            (417, &[("host", "h"), ("expect", "200-maybe")]),
        ] {
            assert_eq!(status(fields), Err(refused), "{fields:?}");
        }
        let old = CallerHead::read(&HeaderMap::new(), None).admissible(Version::HTTP_10);
        assert_eq!(old, Ok(()));
    }
}
