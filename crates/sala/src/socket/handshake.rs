//! How a client came.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use sala_proto::{Object, RawArgs, Value};
use serde::de::DeserializeOwned;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Socket;
use crate::error::Error;

/// How a client came: the HTTP request that opened its connection, and what it sent with its
/// CONNECT packet.
///
/// Headers and query are the same for all namespaces of a connection; `auth` and times are not. As
/// data of an event it is the `handshake` object of the reference.
#[derive(Clone, Copy)]
pub struct Handshake<'a>(Of<'a>);

/// Whose handshake it is.
#[derive(Clone, Copy)]
enum Of<'a> {
    Here(&'a Socket),
    /// A socket of another server, which has described it.
    Elsewhere(&'a Value),
}

impl<'a> Handshake<'a> {
    pub(super) fn here(socket: &'a Socket) -> Self {
        Self(Of::Here(socket))
    }

    pub(super) fn elsewhere(object: &'a Value) -> Self {
        Self(Of::Elsewhere(object))
    }

    /// Text of the description by another server; empty if it is missing.
    fn text(object: &'a Value, key: &str) -> &'a str {
        object.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The first value of a header of the request; the case of the name does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        match self.0 {
            Of::Here(socket) => socket.request().header(name),
            Of::Elsewhere(object) => object
                .get("headers")?
                .get(&name.to_ascii_lowercase())?
                .as_str(),
        }
    }

    /// All headers of the request, names in lower case, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let here = match self.0 {
            Of::Here(socket) => Some(socket.request().headers()),
            Of::Elsewhere(_) => None,
        };
        let elsewhere = members(self.described("headers"));
        here.into_iter().flatten().chain(elsewhere)
    }

    /// The value of a key of the query string, decoded; the last one if the key comes more often.
    #[must_use]
    pub fn query(&self, key: &str) -> Option<String> {
        match self.0 {
            Of::Here(socket) => {
                let query = socket.request().query();
                let values = query.iter().filter(|(own, _)| own == key);
                values.last().map(|(_, value)| value.into_owned())
            }
            Of::Elsewhere(object) => Some(object.get("query")?.get(key)?.as_str()?.to_owned()),
        }
    }

    /// The whole query string, decoded; of a key that comes more often the last value.
    #[must_use]
    pub fn queries(&self) -> BTreeMap<String, String> {
        match self.0 {
            Of::Here(socket) => {
                let query = socket.request().query();
                query
                    .iter()
                    .map(|(key, value)| (key.into_owned(), value.into_owned()))
                    .collect()
            }
            Of::Elsewhere(_) => members(self.described("query"))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// What the client sent with its CONNECT packet: the `auth` option of the official clients, `{}`
    /// if there is none. For clients of Socket.IO 2 it is the query of the namespace.
    ///
    /// # Errors
    ///
    /// [`is_deserialization`](Error::is_deserialization) if it is no `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(self.raw_auth().parse()?)
    }

    /// What the client sent with its CONNECT packet, unread.
    #[must_use]
    pub fn raw_auth(&self) -> RawArgs {
        let none = || RawArgs::from_values(vec![Value::Object(Object::default())]);
        match self.0 {
            Of::Here(socket) => socket.0.auth.as_deref().cloned(),
            Of::Elsewhere(object) => object
                .get("auth")
                .map(|auth| RawArgs::from_values(vec![auth.clone()])),
        }
        .unwrap_or_else(none)
    }

    /// When the client asked for the namespace.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        // A time that another server made up may lie beyond what can be told.
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_millis(self.issued()))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// When the client asked for the namespace, in milliseconds since 1970.
    #[must_use]
    pub fn issued(&self) -> u64 {
        match self.0 {
            Of::Here(socket) => socket.0.issued,
            Of::Elsewhere(object) => object
                .get("issued")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
        }
    }

    /// The raw request target: path and query.
    #[must_use]
    pub fn url(&self) -> &'a str {
        match self.0 {
            Of::Here(socket) => socket.request().url(),
            Of::Elsewhere(object) => Self::text(object, "url"),
        }
    }

    /// The peer's address as the server sees it (that of a proxy, behind a proxy), without port.
    /// Empty if the host did not tell.
    #[must_use]
    pub fn address(&self) -> String {
        match self.0 {
            Of::Here(socket) => socket
                .request()
                .remote_address()
                .map(|address| address.ip().to_string())
                .unwrap_or_default(),
            Of::Elsewhere(object) => Self::text(object, "address").to_owned(),
        }
    }

    /// Whether the request had an `Origin` header.
    #[must_use]
    pub fn is_xdomain(&self) -> bool {
        match self.0 {
            Of::Here(_) => self.header("origin").is_some(),
            Of::Elsewhere(object) => flag(object, "xdomain"),
        }
    }

    /// Whether the direct connection is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        match self.0 {
            Of::Here(socket) => socket.request().is_secure(),
            Of::Elsewhere(object) => flag(object, "secure"),
        }
    }

    /// A member of the description by another server.
    fn described(&self, key: &str) -> Option<&'a Value> {
        match self.0 {
            Of::Here(_) => None,
            Of::Elsewhere(object) => object.get(key),
        }
    }

    /// All headers as the reference shows them: values of one name joined.
    fn joined_headers(&self) -> BTreeMap<&'a str, Cow<'a, str>> {
        let mut headers: BTreeMap<&str, Cow<'_, str>> = BTreeMap::new();
        for (name, value) in self.headers() {
            headers
                .entry(name)
                .and_modify(|all| {
                    let separator = if name == "cookie" { "; " } else { ", " };
                    *all = format!("{all}{separator}{value}").into();
                })
                .or_insert(value.into());
        }
        headers
    }
}

impl Serialize for Handshake<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Of::Elsewhere(object) = self.0 {
            return object.serialize(serializer);
        }
        let auth: Value = self.auth().unwrap_or(Value::Null);
        let mut object = serializer.serialize_struct("Handshake", 9)?;
        object.serialize_field("headers", &self.joined_headers())?;
        object.serialize_field("time", &javascript_date(self.issued()))?;
        object.serialize_field("address", &self.address())?;
        object.serialize_field("xdomain", &self.is_xdomain())?;
        object.serialize_field("secure", &self.is_secure())?;
        object.serialize_field("issued", &self.issued())?;
        object.serialize_field("url", self.url())?;
        object.serialize_field("query", &self.queries())?;
        object.serialize_field("auth", &auth)?;
        object.end()
    }
}

impl fmt::Debug for Handshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither headers nor `auth`: they hold secrets.
        f.debug_struct("Handshake")
            .field("url", &self.url())
            .field("address", &self.address())
            .field("issued", &self.issued())
            .finish_non_exhaustive()
    }
}

/// The texts of an object, with their names.
fn members(object: Option<&Value>) -> impl Iterator<Item = (&str, &str)> {
    let members = object.and_then(Value::as_object).into_iter();
    members
        .flat_map(|object| object.iter())
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
}

fn flag(object: &Value, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// A time as JavaScript's `Date` prints it, in UTC.
fn javascript_date(millis: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = millis / 1000;
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    // Days since the first of March of the year 0, in cycles of 400 years, so that the leap day is
    // the last day of a year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    format!(
        "{} {} {day:02} {year:04} {hour:02}:{minute:02}:{second:02} GMT+0000 (Coordinated Universal Time)",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
    )
}

#[cfg(test)]
mod tests {
    use super::javascript_date;

    #[test]
    fn times_are_printed_as_javascript_prints_them() {
        for (millis, text) in [
            (0, "Thu Jan 01 1970 00:00:00"),
            (951_782_400_000, "Tue Feb 29 2000 00:00:00"),
            (1_704_067_199_999, "Sun Dec 31 2023 23:59:59"),
            (1_709_251_200_000, "Fri Mar 01 2024 00:00:00"),
            (4_102_444_800_000, "Fri Jan 01 2100 00:00:00"),
        ] {
            assert_eq!(
                javascript_date(millis),
                format!("{text} GMT+0000 (Coordinated Universal Time)")
            );
        }
    }
}
