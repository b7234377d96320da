//! What an answer's first bytes say about its framing. Servers answer a stream's request with one
//! document and a plain one with a stream (proxies that buffer, compatible servers that ignore
//! `stream`); the bytes decide, because content types are as often wrong.

use crate::domain::snapshot::Dialect;

use super::decoder::Framing;

/// The names with which a line of an event stream can begin.
const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const GZIP: &[u8] = b"\x1f\x8b";

/// `head` without a byte order mark, which no reader of JSON or of events expects.
pub(crate) fn unmarked(head: &[u8]) -> &[u8] {
    head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head)
}

/// The framing of an answer that begins with `head`; `None` until enough of it is there.
pub(crate) fn framing_of(asked: Framing, dialect: Dialect, head: &[u8]) -> Option<Framing> {
    if BYTE_ORDER_MARK.starts_with(head) {
        return None;
    }
    let head = unmarked(head).trim_ascii_start();
    let first = *head.first()?;
    if asked == Framing::Sse || asked == Framing::Whole {
        // No text begins with a zero; a frame's length always does.
        if first == 0 {
            return Some(frames_of(dialect));
        }
    } else if first == 0 {
        return Some(asked);
    }
    if matches!(first, b'{' | b'[' | b'<') || head.starts_with(GZIP) {
        return Some(Framing::Whole);
    }
    if FIELDS.iter().any(|name| head.starts_with(name)) {
        return Some(Framing::Sse);
    }
    let undecided = FIELDS.iter().any(|name| name.starts_with(head));
    // Text where frames were asked for is a proxy's word, not a frame with a wrong sum.
    let text = if matches!(asked, Framing::Sse | Framing::Whole) { asked } else { Framing::Whole };
    (!undecided).then_some(text)
}

fn frames_of(dialect: Dialect) -> Framing {
    match dialect {
        Dialect::BedrockConverse => Framing::AwsEvents,
        Dialect::BedrockInvoke | Dialect::AnthropicMessages => Framing::AwsChunks,
        _ => Framing::AwsBytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        use Framing::{AwsBytes, AwsEvents, Sse, Whole};
        for (asked, head, found) in [
            (Sse, &b"\r\n {\"id\""[..], Some(Whole)),
            (Sse, b"[{\"error\"", Some(Whole)),
            (Sse, b"<html>", Some(Whole)),
            (Sse, b"data: {}", Some(Sse)),
            (Sse, b": keep-alive", Some(Sse)),
            (Sse, b"\xef\xbb\xbfevent: x", Some(Sse)),
            (Whole, b"eve", None),
            (Whole, b"event: x", Some(Sse)),
            (Whole, b"error: no", Some(Whole)),
            (Whole, b"\r\n", None),
            (Sse, b"\xef\xbb", None),
            (Sse, b"\x1f\x8b\x08", Some(Whole)),
            (Whole, b"\0\0\x01", Some(AwsEvents)),
            (AwsBytes, b"\0\0\x01", Some(AwsBytes)),
            (AwsBytes, b"{\"choices\"", Some(Whole)),
            (AwsEvents, b"upstream connect error", Some(Whole)),
        ] {
            assert_eq!(framing_of(asked, Dialect::BedrockConverse, head), found, "{asked:?} {head:?}");
        }
    }
}
