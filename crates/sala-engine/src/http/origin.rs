//! The `Origin` header: which pages a request may come from.

use http::{HeaderMap, HeaderValue, header::ORIGIN};

/// Whether an allow-list lets a request in by its `Origin`: the guard against cross-site WebSocket
/// hijacking, which CORS is not.
///
/// Entries are compared byte for byte (`https://example.com`, with the port unless it is the
/// default one; `null` is an origin like any other). A request without `Origin` passes: browsers
/// always send it on WebSocket handshakes and cross-origin requests, and other programs could send
/// whatever they like. A request with several is refused.
#[must_use]
pub fn origin_allowed<S: AsRef<str>>(list: &[S], headers: &HeaderMap) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    single_origin(headers).is_some_and(|origin| list.iter().any(|entry| origin == entry.as_ref()))
}

/// Whether an `Origin` holds only characters that a header may hold; if not, the handshake is
/// refused with code 3. Control characters are illegal, except tab.
#[must_use]
pub fn origin_is_valid(origin: &HeaderValue) -> bool {
    is_header_text(origin.as_bytes())
}

fn is_header_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// The origin of a request; none if it is empty, or named more than once, which no browser does.
pub(super) fn single_origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(ORIGIN).iter();
    let origin = values.next()?;
    (values.next().is_none() && !origin.is_empty()).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "http://a.com";

    fn headers(origins: &[&'static str]) -> HeaderMap {
        origins
            .iter()
            .map(|origin| (ORIGIN, HeaderValue::from_static(origin)))
            .collect()
    }

    #[test]
    fn the_allow_list_compares_origins_exactly() {
        let list = [A, "https://b.com:8443"];
        let table: &[(&[&str], bool)] = &[
            (&[], true),
            (&[A], true),
            (&["https://b.com:8443"], true),
            (&["https://b.com"], false),
            (&["http://A.com"], false),
            (&["http://a.com.evil"], false),
            (&["http://a.com$.evil"], false),
            (&["null"], false),
            (&[""], false),
            (&[A, A], false),
        ];
        for (origins, allowed) in table {
            assert_eq!(
                origin_allowed(&list, &headers(origins)),
                *allowed,
                "{origins:?}"
            );
        }
        assert!(
            !origin_allowed::<&str>(&[], &headers(&[A])),
            "an empty list lets no page in"
        );
    }

    #[test]
    fn control_characters_in_an_origin_are_invalid() {
        for byte in 0..=255 {
            let legal = byte == 9 || (byte >= 32 && byte != 127);
            assert_eq!(is_header_text(&[b'a', byte, b'b']), legal, "byte {byte}");
        }
        assert!(origin_is_valid(&HeaderValue::from_static(A)));
        assert!(origin_is_valid(&HeaderValue::from_static("")));
    }
}
