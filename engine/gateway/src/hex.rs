//! HMACs as documents write them.

/// The 32 bytes of an HMAC in lower-case hex; `None` if it is not one.
#[must_use]
pub(crate) fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut seen = 0;
    let (pairs, left) = text.as_bytes().as_chunks::<2>();
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen < 16 && left.is_empty() && pairs.len() == bytes.len()).then_some(bytes)
}

/// What each byte is worth as a digit; 16 of those that are none.
const DIGITS: [u8; 256] = {
    let mut digits = [16; 256];
    let mut worth = 0;
    while worth < 16 {
        digits[b"0123456789abcdef"[worth as usize] as usize] = worth;
        worth += 1;
    }
    digits
};
