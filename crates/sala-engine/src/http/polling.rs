//! The headers that every reply to a polling request carries.

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, USER_AGENT, X_XSS_PROTECTION},
};
use memchr::memmem;

/// Adds the headers of a polling reply, GET or POST: `cache-control: no-store`, and before it
/// `X-XSS-Protection: 0` for [old Internet Explorers](is_internet_explorer), which took polling
/// bodies for attacks.
///
/// The reference adds them after `Content-Type`, `Content-Length` and `Content-Encoding`, and gives
/// the application its turn (`initial_headers`, `headers`) afterwards. Error replies have neither.
pub fn add_headers(internet_explorer: bool, response: &mut HeaderMap) {
    if internet_explorer {
        response.insert(X_XSS_PROTECTION, HeaderValue::from_static("0"));
    }
    response.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Whether a request comes from an Internet Explorer, as the reference recognizes it.
#[must_use]
pub fn is_internet_explorer(request: &HeaderMap) -> bool {
    request.get(USER_AGENT).is_some_and(|agent| {
        let has = |mark: &str| memmem::find(agent.as_bytes(), mark.as_bytes()).is_some();
        has(";MSIE") || has("Trident/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_not_stored_and_old_browsers_are_told_to_trust_them() {
        let table = [
            (None, false),
            (Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"), false),
            (
                Some("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.0)"),
                false,
            ),
            (
                Some("Mozilla/4.0 (compatible;MSIE 8.0;Windows NT 6.0)"),
                true,
            ),
            (
                Some("Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0) like Gecko"),
                true,
            ),
            (Some("mozilla trident/7.0"), false),
        ];
        for (agent, told) in table {
            let request = agent
                .map(|agent| (USER_AGENT, HeaderValue::from_static(agent)))
                .into_iter()
                .collect();
            let mut response = HeaderMap::new();
            add_headers(is_internet_explorer(&request), &mut response);
            let names: Vec<_> = response.keys().map(|name| name.as_str()).collect();
            let expected: &[&str] = if told {
                &["x-xss-protection", "cache-control"]
            } else {
                &["cache-control"]
            };
            assert_eq!(names, expected, "{agent:?}");
            assert_eq!(response["cache-control"], "no-store");
            assert!(!told || response["x-xss-protection"] == "0");
        }
    }
}
