//! Heads: ours written, theirs read.

use std::io;
use std::ops::Range;

use super::body::Framing;
use crate::upstream::connect::TOGETHER;

/// The most headers and bytes an answer's head may have.
const HEADERS: usize = 100;
const HEAD_BYTES: usize = 64 * 1024;
/// Interim answers (100, 103) before the real one.
const INTERIM: usize = 16;

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    text: Vec<u8>,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Head {
    /// The first field of this name (in lower case) that is text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        let is_named = |field: &&(Range<usize>, Range<usize>)| at(&field.0) == name.as_bytes();
        self.fields.iter().find(is_named).and_then(|(_, value)| std::str::from_utf8(at(value)).ok())
    }

    /// All fields in their order, names in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let at = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        self.fields.iter().map(move |(name, value)| (at(name), at(value)))
    }
}

/// A head that was read, how its body ends, and whether the connection may serve again after it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) head: Head,
    pub(super) framing: Framing,
    pub(super) keeps: bool,
    /// Bytes of the head itself, interim answers included.
    pub(super) len: usize,
}

/// The head at the start of `bytes`; `None` while it is not whole.
///
/// # Errors
/// What no client should read: not HTTP/1, too large, a protocol switch, an unclear length.
pub(super) fn parse(bytes: &[u8]) -> io::Result<Option<Parsed>> {
    let mut from = 0;
    for _ in 0..INTERIM {
        let Some(parsed) = one(bytes.get(from..).unwrap_or_default())? else {
            let is_large = bytes.len() > HEAD_BYTES;
            return if is_large { Err(broken("the head of the answer is too large")) } else { Ok(None) };
        };
        match parsed.head.status {
            101 => return Err(broken("the upstream switched the protocol, which nobody asked for")),
            100..=199 => from += parsed.len,
            _ => return Ok(Some(Parsed { len: from + parsed.len, ..parsed })),
        }
    }
    Err(broken("too many interim answers"))
}

fn one(bytes: &[u8]) -> io::Result<Option<Parsed>> {
    let mut space = [const { std::mem::MaybeUninit::uninit() }; HEADERS];
    let mut answer = httparse::Response::new(&mut []);
    let read = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut answer, bytes, &mut space)
        .map_err(|error| broken(&format!("the head of the answer is not HTTP/1.1: {error}")))?;
    let httparse::Status::Complete(len) = read else {
        return Ok(None);
    };
    let status = answer.code.unwrap_or_default();
    if status < 100 {
        return Err(broken("the answer has no status"));
    }
    let base = bytes.as_ptr() as usize;
    let span = |part: &[u8]| {
        let start = (part.as_ptr() as usize).saturating_sub(base);
        start..start + part.len()
    };
    let mut said = Said::default();
    let mut fields = Vec::with_capacity(answer.headers.len());
    for header in answer.headers.iter() {
        said.note(header.name, header.value)?;
        fields.push((span(header.name.as_bytes()), span(header.value)));
    }
    let keeps = if answer.version == Some(1) { !said.closes } else { said.keeps_alive };
    let framing = said.framing(status);
    let mut text = bytes.get(..len).unwrap_or_default().to_vec();
    for (name, _) in &fields {
        text.get_mut(name.clone()).unwrap_or_default().make_ascii_lowercase();
    }
    let head = Head { status, text, fields };
    Ok(Some(Parsed { head, keeps: keeps && framing != Framing::UntilClose, framing, len }))
}

/// What the fields say about the connection.
#[derive(Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    closes: bool,
    keeps_alive: bool,
}

impl Said {
    fn note(&mut self, name: &str, value: &[u8]) -> io::Result<()> {
        if name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(value).ok().map(str::trim);
            let digits = text.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
            let length = digits.and_then(|text| text.parse().ok());
            let length: u64 = length.ok_or_else(|| broken("the answer's Content-Length is no number"))?;
            if self.length.replace(length).is_some_and(|before| before != length) {
                return Err(broken("the answer gives its length twice"));
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(broken("the answer's transfer encoding is not supported"));
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.closes |= word.eq_ignore_ascii_case(b"close");
                self.keeps_alive |= word.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        if self.chunked && self.length.is_some() {
            return Err(broken("the answer gives its length in two ways"));
        }
        Ok(())
    }

    fn framing(&self, status: u16) -> Framing {
        match (status, self.length) {
            (204 | 304, _) => Framing::Length(0),
            (_, Some(length)) => Framing::Length(length),
            (_, None) if self.chunked => Framing::chunked(),
            (_, None) => Framing::UntilClose,
        }
    }
}

/// The head of a request to `origin` (scheme and authority), ready for the wire.
///
/// # Errors
/// What cannot be written: a path or a field with a control character in it.
pub(in super::super) fn write_head<'a>(
    method: &str,
    (origin, path): (&str, &str),
    fields: impl Iterator<Item = (&'a str, &'a str)>,
    body_len: usize,
) -> Result<Vec<u8>, String> {
    if path.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
        return Err(format!("the path {path:?} is not made of visible ASCII"));
    }
    let mut head = Vec::with_capacity(512 + body_len.min(TOGETHER));
    let mut say = |part: &str| head.extend_from_slice(part.as_bytes());
    say(method);
    say(" ");
    say(if path.is_empty() { "/" } else { path });
    say(" HTTP/1.1\r\nhost: ");
    say(authority(origin));
    if method != "GET" {
        say("\r\ncontent-length: ");
        say(itoa::Buffer::new().format(body_len));
    }
    for (name, value) in fields {
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !is_name || value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(format!("the header {name:?} cannot be written"));
        }
        say("\r\n");
        say(name);
        say(": ");
        say(value);
    }
    say("\r\n\r\n");
    Ok(head)
}

/// The authority without the scheme's own port, as it is signed.
fn authority(origin: &str) -> &str {
    let (scheme, authority) = match origin.split_once(':') {
        Some((scheme, rest)) if rest.starts_with("//") => (scheme, &rest[2..]),
        _ => ("", origin),
    };
    let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    authority.strip_suffix(usual).unwrap_or(authority)
}

pub(super) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(text: &str) -> io::Result<Option<(u16, Framing, bool)>> {
        Ok(parse(text.as_bytes())?.map(|parsed| (parsed.head.status, parsed.framing, parsed.keeps)))
    }

    #[test]
    fn the_end_of_an_answer_follows_from_its_head() {
        for (text, wanted) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", (200, Framing::Length(5), true)),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n",
                (200, Framing::Length(5), true),
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n", (200, Framing::chunked(), true)),
            ("HTTP/1.1 200\r\n\r\n", (200, Framing::UntilClose, false)),
            ("HTTP/1.1 204 No\r\ncontent-length: 9\r\n\r\n", (204, Framing::Length(0), true)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", (200, Framing::Length(5), false)),
            (
                "HTTP/1.0 200 OK\r\nconnection: x, Keep-Alive\r\ncontent-length: 5\r\n\r\n",
                (200, Framing::Length(5), true),
            ),
            (
                "HTTP/1.1 500 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                (500, Framing::Length(0), false),
            ),
            (
                "HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 x\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n",
                (200, Framing::Length(1), true),
            ),
        ] {
            assert_eq!(framing(text).unwrap(), Some(wanted), "{text}");
            for cut in 0..text.len() {
                assert_eq!(framing(&text[..cut]).unwrap(), None, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_unclear_head_is_broken() {
        let many = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(HEADERS + 1));
        let large = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(HEAD_BYTES));
        let interim = "HTTP/1.1 100 Go on\r\n\r\n".repeat(INTERIM);
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "SSH-2.0-x\r\n",
            &many,
            &large,
            &interim,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let head = parse(b"HTTP/1.1 200 OK\r\nX-Request-Id:  a b \r\nx: \xff\r\n\r\n").unwrap().unwrap().head;

        assert_eq!(head.get("x-request-id"), Some("a b"));
        assert_eq!((head.get("x"), head.get("y")), (None, None));
        assert_eq!(head.fields().count(), 2);
    }

    #[test]
    fn a_request_cannot_be_split_by_what_it_holds() {
        let write =
            |path, name, value| write_head("POST", ("https://h:443", path), [(name, value)].into_iter(), 3);

        let head = String::from_utf8(write("/v1/x?a=b", "accept", "é").unwrap()).unwrap();
        assert_eq!(head, "POST /v1/x?a=b HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\naccept: é\r\n\r\n");
        for (path, name, value) in [
            ("/a b", "n", "v"),
            ("/a\r\nx", "n", "v"),
            ("/", "n\r\n", "v"),
            ("/", "", "v"),
            ("/", "n:", "v"),
            ("/", "n", "v\r\nx: y"),
        ] {
            assert!(write(path, name, value).is_err(), "{path:?} {name:?} {value:?}");
        }
    }
}
