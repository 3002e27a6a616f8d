//! The `Set-Cookie` of a polling handshake.

use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;

#[cfg(test)]
mod tests;

/// A cookie that carries the session id, for load balancers that route by cookie.
///
/// Off by default. When on, it goes out with the reply to a polling handshake and with no other
/// reply, in particular not with a WebSocket handshake; the server never reads it back. It is
/// checked once, when built, so that no option can smuggle a header into a reply.
///
/// The value is percent-encoded as the reference does by default; ids made by the engine need no
/// encoding. A custom encoding (`encode` of the reference) is not offered.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use sala_engine::http::Cookie;
///
/// assert_eq!(Cookie::default().header("abc"), "io=abc; Path=/; HttpOnly; SameSite=Lax");
///
/// let cookie = Cookie::builder("node").path("/chat").max_age(Duration::from_secs(60)).build()?;
/// assert_eq!(cookie.header("abc"), "node=abc; Max-Age=60; Path=/chat; HttpOnly; SameSite=Lax");
/// # Ok::<_, sala_engine::http::InvalidCookie>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    /// All that follows the value, from `; ` on.
    attributes: String,
}

/// Builds a [`Cookie`]; made by [`Cookie::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct CookieBuilder {
    name: String,
    path: Option<String>,
    domain: Option<String>,
    http_only: bool,
    secure: bool,
    partitioned: bool,
    same_site: Option<SameSite>,
    priority: Option<Priority>,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
}

/// With which requests from other sites a browser sends the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With top-level navigation only.
    Lax,
    /// With none.
    Strict,
    /// With all; browsers want [`secure`](CookieBuilder::secure) too.
    None,
}

/// Which cookies a browser drops first when it has too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Dropped first.
    Low,
    /// The browsers' default.
    Medium,
    /// Dropped last.
    High,
}

/// A cookie option holds characters that are illegal there, or a date that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCookie(&'static str);

impl Default for Cookie {
    /// `io=<id>; Path=/; HttpOnly; SameSite=Lax`: `cookie: true` of the reference.
    fn default() -> Self {
        Self::builder("io").build().expect("the defaults are legal")
    }
}

impl Cookie {
    /// Starts from the defaults: path `/`, `HttpOnly`, `SameSite=Lax`, until the browser closes.
    pub fn builder(name: impl Into<String>) -> CookieBuilder {
        CookieBuilder {
            name: name.into(),
            path: Some("/".into()),
            domain: None,
            http_only: true,
            secure: false,
            partitioned: false,
            same_site: Some(SameSite::Lax),
            priority: None,
            max_age: None,
            expires: None,
        }
    }

    /// The value of `Set-Cookie` for a session.
    #[must_use]
    pub fn header(&self, sid: &str) -> HeaderValue {
        let size = self.name.len() + 1 + sid.len() + self.attributes.len();
        let mut text = String::with_capacity(size);
        text.push_str(&self.name);
        text.push('=');
        push_encoded(&mut text, sid);
        text.push_str(&self.attributes);
        HeaderValue::try_from(text).expect("checked when built, and the id is encoded")
    }
}

impl CookieBuilder {
    /// The path for which browsers send it; `None` or an empty one means that of the handshake.
    /// Default: `/`.
    pub fn path<'a>(mut self, path: impl Into<Option<&'a str>>) -> Self {
        self.path = path.into().filter(|path| !path.is_empty()).map(Into::into);
        self
    }

    /// The domain for which browsers send it. Default, or an empty one: the host of the handshake.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into()).filter(|domain| !domain.is_empty());
        self
    }

    /// Whether it is hidden from scripts. Default: true.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Whether browsers send it over encrypted connections only. Default: false.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether each site that embeds ours has its own. Default: false.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// With which cross-site requests browsers send it; `None` leaves it to them. Default: `Lax`.
    pub fn same_site(mut self, same_site: impl Into<Option<SameSite>>) -> Self {
        self.same_site = same_site.into();
        self
    }

    /// Which cookies browsers drop first. Default: not said.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// How long browsers keep it, in whole seconds. Default: until they close.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Until when browsers keep it; [`max_age`](Self::max_age) wins over it. Default: until they close.
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Checks the options and writes the attributes, in the order of the reference.
    ///
    /// # Errors
    ///
    /// If the name is no token, the domain no host name, the path holds control characters, `;`,
    /// `<` or anything beyond ASCII, or the date lies before 1970 or after 9999.
    pub fn build(self) -> Result<Cookie, InvalidCookie> {
        check("name", is_name(&self.name))?;
        check("domain", self.domain.as_deref().is_none_or(is_domain))?;
        check("path", self.path.as_deref().is_none_or(is_path))?;
        let expires = self
            .expires
            .map(|at| http_date(at).ok_or(InvalidCookie("expires")));
        let mut attributes = Attributes(String::new());
        attributes.pair("Max-Age", self.max_age.map(|age| age.as_secs().to_string()));
        attributes.pair("Domain", self.domain);
        attributes.pair("Path", self.path);
        attributes.pair("Expires", expires.transpose()?);
        attributes.flag("HttpOnly", self.http_only);
        attributes.flag("Secure", self.secure);
        attributes.flag("Partitioned", self.partitioned);
        attributes.pair(
            "Priority",
            self.priority.map(|priority| format!("{priority:?}")),
        );
        attributes.pair("SameSite", self.same_site.map(|site| format!("{site:?}")));
        Ok(Cookie {
            name: self.name,
            attributes: attributes.0,
        })
    }
}

struct Attributes(String);

impl Attributes {
    fn flag(&mut self, name: &str, on: bool) {
        if on {
            self.0.push_str("; ");
            self.0.push_str(name);
        }
    }

    fn pair(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.flag(name, true);
            self.0.push('=');
            self.0.push_str(&value);
        }
    }
}

impl fmt::Display for InvalidCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cookie option `{}` is invalid", self.0)
    }
}

impl std::error::Error for InvalidCookie {}

fn check(option: &'static str, legal: bool) -> Result<(), InvalidCookie> {
    if legal {
        Ok(())
    } else {
        Err(InvalidCookie(option))
    }
}

/// A token of HTTP.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Labels of letters, digits and inner hyphens, at most 63 each; one leading dot is tolerated.
fn is_domain(domain: &str) -> bool {
    domain
        .strip_prefix('.')
        .unwrap_or(domain)
        .split('.')
        .all(|label| {
            let bytes = label.as_bytes();
            let [first, .., last] = bytes else {
                return bytes.first().is_some_and(u8::is_ascii_alphanumeric);
            };
            bytes.len() <= 63
                && first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        })
}

/// Printable ASCII without `;` and `<`: the set that the reference's cookie package accepts.
fn is_path(path: &str) -> bool {
    path.bytes().all(|b| matches!(b, b' '..=b':' | b'='..=b'~'))
}

/// Percent-encodes all but letters, digits and `-_.!~*'()`.
fn push_encoded(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
}

/// The date format of HTTP, such as `Thu, 01 Jan 1970 00:00:00 GMT`; none outside 1970 to 9999.
fn http_date(at: SystemTime) -> Option<String> {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = at.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days)?;
    Some(format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month],
        second / 3_600,
        second / 60 % 60,
        second % 60,
    ))
}

/// Year, month (from 0) and day (from 1) of a day counted from 1970-01-01, up to the year 9999.
fn civil_date(days: u64) -> Option<(u64, usize, u64)> {
    const FIRST_DAY_OF_10000: u64 = 2_932_897;
    if days >= FIRST_DAY_OF_10000 {
        return None;
    }
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut rest = days;
    let mut year = 1970;
    while rest >= 365 + u64::from(is_leap(year)) {
        rest -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while rest >= lengths[month] {
        rest -= lengths[month];
        month += 1;
    }
    Some((year, month, rest + 1))
}
