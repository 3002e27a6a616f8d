//! Cross-origin resource sharing, and the `Origin` header in general.
//!
//! CORS tells *browsers* which pages may read a reply. It refuses nobody by itself and it does not
//! cover WebSocket handshakes at all: a page of any origin may open a WebSocket. Servers that trust
//! cookies need an allow-list besides, see [`origin_allowed`](super::origin::origin_allowed).

use std::{fmt, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_LENGTH, VARY,
    },
};

use super::origin::single_origin;

#[cfg(test)]
mod tests;

type MatchOrigin = Arc<dyn Fn(&str) -> bool + Send + Sync>;
type DecideOrigin = Arc<dyn Fn(&HeaderMap) -> bool + Send + Sync>;
type PerRequest = Arc<dyn Fn(&HeaderMap) -> Cors + Send + Sync>;

/// What the engine must do after [`Cors::apply`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Handle the request; the headers that were set belong on the reply, errors included.
    Continue,
    /// Answer at once with this status, the headers that were set and an empty body.
    Preflight(StatusCode),
}

/// Which origins may read replies: the `origin` of the reference's `cors` option.
///
/// Converts from what the reference accepts: `"*"` is [`Any`](Self::Any), another string
/// [`Exact`](Self::Exact), `true` [`Mirror`](Self::Mirror), `false` [`Off`](Self::Off), an array or
/// a vector of strings a [`List`](Self::List). Origins are compared byte for byte.
#[derive(Clone)]
#[non_exhaustive]
pub enum AllowOrigin {
    /// `*`. Browsers refuse it for requests with credentials.
    Any,
    /// Names this origin in every reply, whoever asks, with `Vary: Origin`.
    Exact(String),
    /// Names the origin of the request if one of these matches it, else none; `Vary: Origin` always.
    List(Vec<OriginMatcher>),
    /// Names the origin of the request, whatever it is. With credentials, this trusts every site.
    Mirror,
    /// Sets no header at all, and answers no preflight.
    Off,
    /// Like [`Mirror`](Self::Mirror) when the function returns true for the headers of the request,
    /// like [`Off`](Self::Off) when it returns false.
    Decide(DecideOrigin),
}

/// One entry of [`AllowOrigin::List`].
#[derive(Clone)]
#[non_exhaustive]
pub enum OriginMatcher {
    /// The origin is this very string, such as `https://example.com`.
    Exact(String),
    /// The function returns true for the origin. Look at the *whole* string: a test such as
    /// "contains `example.com`" also accepts `https://example.com.evil.net`.
    Pattern(MatchOrigin),
}

/// The CORS rules of a server, off unless configured.
///
/// They apply to every reply on the engine's path: handshakes, polls, posts, errors, the `101` of a
/// WebSocket handshake, static files. Header values are those of the reference's `cors` package.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use http::Method;
/// use sala_engine::http::Cors;
///
/// let cors = Cors::builder()
///     .origin(["https://app.example.com", "https://admin.example.com"])
///     .methods([Method::GET, Method::POST])
///     .credentials(true)
///     .max_age(Duration::from_secs(600))
///     .build()?;
/// # let _ = cors;
/// # Ok::<_, sala_engine::http::InvalidCors>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cors(Kind);

#[derive(Clone)]
enum Kind {
    Rules(Rules),
    PerRequest(PerRequest),
}

#[derive(Clone, Debug)]
struct Rules {
    origin: Origin,
    methods: Option<HeaderValue>,
    allowed_headers: AllowedHeaders,
    exposed_headers: Option<HeaderValue>,
    credentials: bool,
    max_age: Option<HeaderValue>,
    preflight_continue: bool,
    options_success_status: StatusCode,
}

/// [`AllowOrigin`], checked.
#[derive(Clone, Debug)]
enum Origin {
    Fixed(HeaderValue),
    Mirrored(AllowOrigin),
}

#[derive(Clone, Debug)]
enum AllowedHeaders {
    Requested,
    Listed(Option<HeaderValue>),
}

/// Builds a [`Cors`]; made by [`Cors::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct CorsBuilder {
    origin: AllowOrigin,
    methods: String,
    allowed_headers: Option<String>,
    exposed_headers: String,
    credentials: bool,
    max_age: Option<Duration>,
    preflight_continue: bool,
    options_success_status: StatusCode,
}

/// A CORS option holds characters that no header may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCors(&'static str);

impl Cors {
    /// Starts from the defaults: any origin, no credentials.
    pub fn builder() -> CorsBuilder {
        CorsBuilder {
            origin: AllowOrigin::Any,
            methods: "GET,HEAD,PUT,PATCH,POST,DELETE".into(),
            allowed_headers: None,
            exposed_headers: String::new(),
            credentials: false,
            max_age: None,
            preflight_continue: false,
            options_success_status: StatusCode::NO_CONTENT,
        }
    }

    /// Every origin may read replies, without credentials: `cors: true` of the reference.
    #[must_use]
    pub fn any() -> Self {
        Self::builder()
            .build()
            .expect("the defaults are legal header values")
    }

    /// Rules that depend on the request: the function sees its headers and returns the rules to use.
    /// If those depend on the request again, CORS is off for it.
    #[must_use]
    pub fn per_request(rules: impl Fn(&HeaderMap) -> Self + Send + Sync + 'static) -> Self {
        Self(Kind::PerRequest(Arc::new(rules)))
    }

    /// Sets the CORS headers for a request on its reply and says how to go on.
    ///
    /// An existing `Vary` is extended; other headers are replaced. Call it before anything else
    /// looks at the request, as the reference does, so that refusals carry the headers too.
    pub fn apply(&self, method: &Method, request: &HeaderMap, response: &mut HeaderMap) -> Applied {
        match &self.0 {
            Kind::Rules(rules) => rules.apply(method, request, response),
            Kind::PerRequest(choose) => match choose(request).0 {
                Kind::Rules(rules) => rules.apply(method, request, response),
                Kind::PerRequest(_) => Applied::Continue,
            },
        }
    }
}

impl Rules {
    // The order of insertion is the order on the wire, that of the reference.
    fn apply(&self, method: &Method, request: &HeaderMap, response: &mut HeaderMap) -> Applied {
        if !self.apply_origin(request, response) {
            return Applied::Continue;
        }
        if self.credentials {
            response.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
        let preflight = method == Method::OPTIONS;
        if preflight {
            insert(response, ACCESS_CONTROL_ALLOW_METHODS, &self.methods);
            self.apply_allowed_headers(request, response);
            insert(response, ACCESS_CONTROL_MAX_AGE, &self.max_age);
        }
        insert(
            response,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            &self.exposed_headers,
        );
        if !preflight || self.preflight_continue {
            return Applied::Continue;
        }
        // Some browsers wait for a body unless told that there is none.
        response.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Applied::Preflight(self.options_success_status)
    }

    /// False if CORS is off for this request.
    fn apply_origin(&self, request: &HeaderMap, response: &mut HeaderMap) -> bool {
        let (value, varies) = match &self.origin {
            Origin::Fixed(value) => (Some(value), value != "*"),
            Origin::Mirrored(rule) => {
                let origin = single_origin(request);
                let allowed = match rule {
                    AllowOrigin::Off => return false,
                    AllowOrigin::Decide(decide) if !decide(request) => return false,
                    AllowOrigin::List(list) => {
                        origin.is_some_and(|origin| list.iter().any(|entry| entry.matches(origin)))
                    }
                    _ => true,
                };
                (origin.filter(|_| allowed), true)
            }
        };
        if let Some(value) = value {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value.clone());
        }
        if varies {
            vary(response, "Origin");
        }
        true
    }

    fn apply_allowed_headers(&self, request: &HeaderMap, response: &mut HeaderMap) {
        match &self.allowed_headers {
            AllowedHeaders::Listed(value) => {
                insert(response, ACCESS_CONTROL_ALLOW_HEADERS, value);
            }
            AllowedHeaders::Requested => {
                vary(response, "Access-Control-Request-Headers");
                let requested = joined(request, &ACCESS_CONTROL_REQUEST_HEADERS);
                insert(response, ACCESS_CONTROL_ALLOW_HEADERS, &requested);
            }
        }
    }
}

impl OriginMatcher {
    fn matches(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Exact(own) => origin == own,
            Self::Pattern(pattern) => origin.to_str().is_ok_and(|origin| pattern(origin)),
        }
    }
}

impl CorsBuilder {
    /// Which origins may read replies. Default: any.
    pub fn origin(mut self, origin: impl Into<AllowOrigin>) -> Self {
        self.origin = origin.into();
        self
    }

    /// The methods a preflight allows. Default: GET, HEAD, PUT, PATCH, POST, DELETE.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = join(methods);
        self
    }

    /// The request headers a preflight allows. Default: those it asks for. An empty list allows none.
    pub fn allowed_headers(mut self, names: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.allowed_headers = Some(join(names));
        self
    }

    /// The reply headers a page may read besides the usual ones. Default: none.
    pub fn exposed_headers(mut self, names: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.exposed_headers = join(names);
        self
    }

    /// Whether requests may carry cookies. Default: false. Browsers refuse it together with
    /// [`AllowOrigin::Any`]: name the origins.
    pub fn credentials(mut self, credentials: bool) -> Self {
        self.credentials = credentials;
        self
    }

    /// How long a browser may remember a preflight, in whole seconds. Default: not said.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Hands preflights on, with their headers set, instead of answering them. Default: false.
    pub fn preflight_continue(mut self, preflight_continue: bool) -> Self {
        self.preflight_continue = preflight_continue;
        self
    }

    /// The status of an answered preflight. Default: 204; some old devices want 200.
    pub fn options_success_status(mut self, status: StatusCode) -> Self {
        self.options_success_status = status;
        self
    }

    /// Checks the options.
    ///
    /// # Errors
    ///
    /// If the exact origin, or the name of an allowed or exposed header, holds characters that no
    /// header value may hold.
    pub fn build(self) -> Result<Cors, InvalidCors> {
        let origin = match self.origin {
            AllowOrigin::Any => Origin::Fixed(HeaderValue::from_static("*")),
            AllowOrigin::Exact(origin) => {
                Origin::Fixed(value("origin", origin)?.ok_or(InvalidCors("origin"))?)
            }
            other => Origin::Mirrored(other),
        };
        let allowed_headers = match self.allowed_headers {
            None => AllowedHeaders::Requested,
            Some(names) => AllowedHeaders::Listed(value("allowed_headers", names)?),
        };
        Ok(Cors(Kind::Rules(Rules {
            origin,
            methods: value("methods", self.methods)?,
            allowed_headers,
            exposed_headers: value("exposed_headers", self.exposed_headers)?,
            credentials: self.credentials,
            max_age: self.max_age.map(|age| HeaderValue::from(age.as_secs())),
            preflight_continue: self.preflight_continue,
            options_success_status: self.options_success_status,
        })))
    }
}

impl AllowOrigin {
    /// A list with one entry: a function of the origin. Look at the *whole* string.
    #[must_use]
    pub fn matching(pattern: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::List(vec![OriginMatcher::Pattern(Arc::new(pattern))])
    }

    /// [`Decide`](Self::Decide) by a function of the request's headers.
    #[must_use]
    pub fn decide(decide: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        Self::Decide(Arc::new(decide))
    }
}

impl From<&str> for AllowOrigin {
    fn from(origin: &str) -> Self {
        origin.to_owned().into()
    }
}

impl From<String> for AllowOrigin {
    fn from(origin: String) -> Self {
        if origin == "*" {
            Self::Any
        } else {
            Self::Exact(origin)
        }
    }
}

impl From<bool> for AllowOrigin {
    fn from(mirror: bool) -> Self {
        if mirror { Self::Mirror } else { Self::Off }
    }
}

impl<S: Into<String>> From<Vec<S>> for AllowOrigin {
    fn from(origins: Vec<S>) -> Self {
        Self::List(
            origins
                .into_iter()
                .map(|origin| OriginMatcher::Exact(origin.into()))
                .collect(),
        )
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for AllowOrigin {
    fn from(origins: [S; N]) -> Self {
        Vec::from(origins).into()
    }
}

impl fmt::Debug for AllowOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Exact(origin) => f.debug_tuple("Exact").field(origin).finish(),
            Self::List(list) => f.debug_tuple("List").field(list).finish(),
            Self::Mirror => f.write_str("Mirror"),
            Self::Off => f.write_str("Off"),
            Self::Decide(_) => f.write_str("Decide(..)"),
        }
    }
}

impl fmt::Debug for OriginMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(origin) => f.debug_tuple("Exact").field(origin).finish(),
            Self::Pattern(_) => f.write_str("Pattern(..)"),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(rules) => rules.fmt(f),
            Self::PerRequest(_) => f.write_str("PerRequest(..)"),
        }
    }
}

impl fmt::Display for InvalidCors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the CORS option `{}` is no legal header value", self.0)
    }
}

impl std::error::Error for InvalidCors {}

/// All values of a header as one, or none if there is nothing in it.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let mut rest = values.peekable();
    if rest.peek().is_none() {
        return (!first.is_empty()).then(|| first.clone());
    }
    let mut text = first.as_bytes().to_vec();
    for value in rest {
        text.extend_from_slice(b", ");
        text.extend_from_slice(value.as_bytes());
    }
    HeaderValue::from_bytes(&text).ok()
}

/// Adds a name to `Vary`, keeping one line, unless it is there already or `*` says it all.
fn vary(headers: &mut HeaderMap, name: &'static str) {
    let Some(present) = joined(headers, &VARY) else {
        headers.insert(VARY, HeaderValue::from_static(name));
        return;
    };
    let has = |wanted: &str| {
        present
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    };
    if has(name) || has("*") {
        return;
    }
    let text = [present.as_bytes(), b", ", name.as_bytes()].concat();
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        headers.insert(VARY, value);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value.clone());
    }
}

fn join(items: impl IntoIterator<Item: AsRef<str>>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(item.as_ref());
    }
    text
}

/// A checked header value; none if the text is empty, as the header is then left out.
fn value(option: &'static str, text: String) -> Result<Option<HeaderValue>, InvalidCors> {
    if text.is_empty() {
        return Ok(None);
    }
    HeaderValue::try_from(text)
        .map(Some)
        .map_err(|_| InvalidCors(option))
}
