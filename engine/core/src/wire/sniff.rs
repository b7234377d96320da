//! What an answer's first bytes say about its framing. Servers answer a stream's request with one
//! document and a plain one with a stream (proxies that buffer, compatible servers that ignore
//! `stream`); the bytes decide, because content types are as often wrong.

use crate::domain::snapshot::Dialect;

use super::decoder::Framing;

/// The names with which a line of an event stream can begin.
const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The framing of an answer that begins with `head`; `None` until enough of it is there.
pub(crate) fn framing_of(asked: Framing, dialect: Dialect, head: &[u8]) -> Option<Framing> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
    let first = *head.first()?;
    if asked == Framing::Sse || asked == Framing::Whole {
        // No text begins with a zero; a frame's length always does.
        if first == 0 {
            return Some(frames_of(dialect));
        }
    } else if first == 0 {
        return Some(asked);
    }
    if matches!(first, b'{' | b'[' | b'<') {
        return Some(Framing::Whole);
    }
    if FIELDS.iter().any(|name| head.starts_with(name)) {
        return Some(Framing::Sse);
    }
    let undecided = FIELDS.iter().any(|name| name.starts_with(head));
    (!undecided).then_some(asked)
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
            (Whole, b"\0\0\x01", Some(AwsEvents)),
            (AwsBytes, b"\0\0\x01", Some(AwsBytes)),
            (AwsBytes, b"{\"choices\"", Some(Whole)),
        ] {
            assert_eq!(framing_of(asked, Dialect::BedrockConverse, head), found, "{asked:?} {head:?}");
        }
    }
}
