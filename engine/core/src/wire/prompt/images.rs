//! How large a picture is, from the first bytes of its file: PNG, JPEG, GIF and WebP say it there.
//! The bytes are read where they lie in the base64 text, a few of them, whatever the file's length.

use serde_json::{Map, Value};

use crate::domain::prompt::images::Images;
use crate::wire::loose::text_in;

/// What a picture is taken to measure where only its address is known, or its head cannot be read.
const UNKNOWN: (u32, u32) = (1024, 1024);
/// Segments of a JPEG that are looked at before its size: its own, a camera's, a colour profile's.
const SEGMENTS: usize = 64;
/// How far into a `data:` address its content may begin.
const PREFIX: usize = 128;

/// Counts a part of a message, if it is a picture. `low`: those that the caller wants seen coarsely.
pub(super) fn add(part: &Map<String, Value>, all: &mut Images, low: &mut Images) -> bool {
    let kind = part.get("type").and_then(Value::as_str);
    if !matches!(kind, Some("image" | "image_url" | "input_image")) {
        return false;
    }
    let shown = part.get("image_url");
    let within = shown.or_else(|| part.get("source")).unwrap_or(&Value::Null);
    let text = shown.and_then(Value::as_str);
    let text = text.or_else(|| ["url", "data"].iter().find_map(|name| text_in(within, name)));
    let detail = text_in(within, "detail").or_else(|| part.get("detail").and_then(Value::as_str));
    let (width, height) = text.and_then(measure).unwrap_or(UNKNOWN);
    all.add(width, height);
    if detail == Some("low") {
        low.add(width, height);
    }
    true
}

/// Width and height in pixels of a picture in base64, alone or in a `data:` address.
fn measure(text: &str) -> Option<(u32, u32)> {
    let text = text.as_bytes();
    let file = if text.starts_with(b"data:") {
        let head = text.get(..text.len().min(PREFIX))?;
        let comma = head.iter().position(|byte| *byte == b',')?;
        head.get(..comma)?.ends_with(b"base64").then(|| text.get(comma + 1..))??
    } else {
        text
    };
    let file = File { base64: file };
    let found = match file.bytes(0)? {
        [0x89, b'P', b'N', b'G'] => Some((file.big(16, 4)?, file.big(20, 4)?)),
        [b'G', b'I', b'F', b'8'] => Some((file.little(6, 2)?, file.little(8, 2)?)),
        [b'R', b'I', b'F', b'F'] if file.bytes(8)? == *b"WEBP" => file.webp(),
        [0xff, 0xd8, 0xff, _] => file.jpeg(),
        _ => None,
    };
    found.filter(|(width, height)| *width > 0 && *height > 0)
}

struct File<'a> {
    base64: &'a [u8],
}

impl File<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        let (group, place) = (at / 3 * 4, at % 3);
        let six = |n: usize| sextet(*self.base64.get(group + place + n)?);
        Some((six(0)? << (2 + 2 * place)) | (six(1)? >> (4 - 2 * place)))
    }

    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(at + n)?;
        }
        Some(bytes)
    }

    /// A number of `length` bytes, the greatest first.
    fn big(&self, at: usize, length: usize) -> Option<u32> {
        (at..at + length).try_fold(0, |sum, at| Some((sum << 8) | u32::from(self.byte(at)?)))
    }

    /// A number of `length` bytes, the least first.
    fn little(&self, at: usize, length: usize) -> Option<u32> {
        (at..at + length).rev().try_fold(0, |sum, at| Some((sum << 8) | u32::from(self.byte(at)?)))
    }

    fn webp(&self) -> Option<(u32, u32)> {
        match &self.bytes(12)? {
            b"VP8 " => Some((self.little(26, 2)? & 0x3fff, self.little(28, 2)? & 0x3fff)),
            b"VP8L" => {
                let bits = self.little(21, 4)?;
                Some((1 + (bits & 0x3fff), 1 + ((bits >> 14) & 0x3fff)))
            }
            b"VP8X" => Some((1 + self.little(24, 3)?, 1 + self.little(27, 3)?)),
            _ => None,
        }
    }

    /// The size stands in the frame's header, after segments whose lengths lead there.
    fn jpeg(&self) -> Option<(u32, u32)> {
        let mut at = 2;
        for _ in 0..SEGMENTS {
            match (self.byte(at)?, self.byte(at + 1)?) {
                (0xff, 0xff) => {
                    at += 1; // filling between segments
                    continue;
                }
                (0xff, 0xc4 | 0xc8 | 0xcc) => {}
                (0xff, 0xc0..=0xcf) => return Some((self.big(at + 7, 2)?, self.big(at + 5, 2)?)),
                (0xff, 0xda) => return None,
                (0xff, _) => {}
                _ => return None,
            }
            at += 2 + usize::try_from(self.big(at + 2, 2)?).ok()?;
        }
        None
    }
}

fn sextet(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base64(bytes: &[u8]) -> String {
        base64_simd::STANDARD.encode_to_string(bytes)
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        [head, width.to_be_bytes().to_vec(), height.to_be_bytes().to_vec(), vec![8; 500]].concat()
    }

    /// `before`: lengths of the segments before the frame's header.
    fn jpeg(width: u16, height: u16, before: &[u16]) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8];
        for length in before {
            file.extend([0xff, 0xe1]);
            file.extend(length.to_be_bytes());
            file.extend(vec![0xff; usize::from(*length) - 2]);
        }
        file.extend([0xff, 0xff, 0xc2, 0, 17, 8]);
        file.extend(height.to_be_bytes());
        file.extend(width.to_be_bytes());
        file.extend([3; 40]);
        file
    }

    fn webp(kind: &[u8; 4], rest: &[u8]) -> Vec<u8> {
        [b"RIFF\x40\0\0\0WEBP".as_slice(), kind, &[40, 0, 0, 0], rest, &[0; 40]].concat()
    }

    proptest! {
        #[test]
        fn every_form_says_its_size(width in 1u16..16_000, height in 1u16..16_000, before in prop::collection::vec(2u16..65_535, 0..4)) {
            let wanted = Some((u32::from(width), u32::from(height)));
            let gif = [b"GIF89a".as_slice(), &width.to_le_bytes(), &height.to_le_bytes(), &[0; 9]].concat();
            let lossy = [&[0, 0, 0, 0x9d, 1, 0x2a], width.to_le_bytes().as_slice(), &height.to_le_bytes()].concat();
            let bits = (u32::from(width) - 1) | ((u32::from(height) - 1) << 14);
            let lossless = [&[0x2f], bits.to_le_bytes().as_slice()].concat();
            let three = |side: u16| [(u32::from(side) - 1).to_le_bytes()[..3].to_vec()].concat();
            let extended = [vec![0; 4], three(width), three(height)].concat();
            for file in [
                png(width.into(), height.into()), jpeg(width, height, &before), gif,
                webp(b"VP8 ", &lossy), webp(b"VP8L", &lossless), webp(b"VP8X", &extended),
            ] {
                prop_assert_eq!(measure(&base64(&file)), wanted);
                prop_assert_eq!(measure(&format!("data:image/x;base64,{}", base64(&file))), wanted);
            }
        }

        #[test]
        fn nothing_else_has_a_size_and_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0usize..40) {
            let _ = measure(&String::from_utf8_lossy(&bytes));
            let file = base64(&jpeg(9, 9, &[20]));
            let _ = measure(&file[..cut.min(file.len())]);
        }
    }

    #[test]
    fn what_has_no_head_has_no_size() {
        for text in [
            "",
            "https://example.com/a.png",
            "data:image/svg+xml,<svg/>",
            "data:image/png;base64,",
            "data:image/png;base64,iVBORw0KGgo=",
            "AAAA",
            &base64(&png(0, 4)),
        ] {
            assert_eq!(measure(text), None, "{text}");
        }
    }
}
