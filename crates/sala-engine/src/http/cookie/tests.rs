//! Expected texts are what `cookie` 0.7.2 on Node.js wrote for the same options.

use super::*;

const SID: &str = "lv_VI97HAXpY6yYWAAAC";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn the_header_is_that_of_the_reference() {
    let io = || Cookie::builder("io");
    let table: Vec<(CookieBuilder, &str)> = vec![
        (io(), "io={}; Path=/; HttpOnly; SameSite=Lax"),
        (
            Cookie::builder("test"),
            "test={}; Path=/; HttpOnly; SameSite=Lax",
        ),
        (
            io().path("/custom"),
            "io={}; Path=/custom; HttpOnly; SameSite=Lax",
        ),
        (io().path(None), "io={}; HttpOnly; SameSite=Lax"),
        (io().path(""), "io={}; HttpOnly; SameSite=Lax"),
        (
            io().path("/ ok"),
            "io={}; Path=/ ok; HttpOnly; SameSite=Lax",
        ),
        (io().path(None).http_only(false), "io={}; SameSite=Lax"),
        (io().http_only(false), "io={}; Path=/; SameSite=Lax"),
        (
            io().path("/custom").http_only(false),
            "io={}; Path=/custom; SameSite=Lax",
        ),
        (
            io().same_site(SameSite::Strict),
            "io={}; Path=/; HttpOnly; SameSite=Strict",
        ),
        (
            io().same_site(SameSite::None).secure(true),
            "io={}; Path=/; HttpOnly; Secure; SameSite=None",
        ),
        (io().same_site(None), "io={}; Path=/; HttpOnly"),
        (
            io().max_age(Duration::ZERO),
            "io={}; Max-Age=0; Path=/; HttpOnly; SameSite=Lax",
        ),
        (
            io().max_age(Duration::from_millis(60_900)),
            "io={}; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
        ),
        (
            io().priority(Priority::Low),
            "io={}; Path=/; HttpOnly; Priority=Low; SameSite=Lax",
        ),
        (
            io().priority(Priority::Medium),
            "io={}; Path=/; HttpOnly; Priority=Medium; SameSite=Lax",
        ),
        (io().domain(""), "io={}; Path=/; HttpOnly; SameSite=Lax"),
        (
            io().domain(".example.com"),
            "io={}; Domain=.example.com; Path=/; HttpOnly; SameSite=Lax",
        ),
        (
            Cookie::builder("x")
                .max_age(Duration::from_secs(60))
                .domain("a.example.com")
                .path("/foo")
                .expires(at(1_898_553_599))
                .secure(true)
                .partitioned(true)
                .priority(Priority::High),
            "x={}; Max-Age=60; Domain=a.example.com; Path=/foo; \
             Expires=Thu, 28 Feb 2030 23:59:59 GMT; HttpOnly; Secure; Partitioned; Priority=High; \
             SameSite=Lax",
        ),
    ];
    for (builder, expected) in table {
        let cookie = builder.build().expect(expected);
        assert_eq!(cookie.header(SID), expected.replace("{}", SID), "A188");
    }
    assert_eq!(
        Cookie::default().header(SID),
        "io=lv_VI97HAXpY6yYWAAAC; Path=/; HttpOnly; SameSite=Lax",
        "A186"
    );
}

#[test]
fn an_id_cannot_break_out_of_its_value() {
    let value = Cookie::default().header("a b;\"é~!*()'\r\n");
    assert_eq!(
        value,
        "io=a%20b%3B%22%C3%A9~!*()'%0D%0A; Path=/; HttpOnly; SameSite=Lax"
    );
}

/// I035
#[test]
fn illegal_options_are_refused_when_built() {
    let long = "a".repeat(64) + ".b";
    let injected = "x\r\nSet-Cookie: a=b";
    for name in ["", "a b", "a;b", "a=b", "é", injected] {
        assert_eq!(
            Cookie::builder(name).build(),
            Err(InvalidCookie("name")),
            "{name}"
        );
    }
    for path in ["/;x", "/<", "/é", "/\n", "/\x7f", injected] {
        let built = Cookie::builder("io").path(path).build();
        assert_eq!(built, Err(InvalidCookie("path")), "{path}");
    }
    for domain in [
        "a..b", "-a.b", "a-.b", "-", "a_b", "a.b.", "a;b", ".", "..a", "é", &long, injected,
    ] {
        let built = Cookie::builder("io").domain(domain).build();
        assert_eq!(built, Err(InvalidCookie("domain")), "{domain}");
    }
    for expires in [UNIX_EPOCH - Duration::from_secs(1), at(253_402_300_800)] {
        let built = Cookie::builder("io").expires(expires).build();
        assert_eq!(built, Err(InvalidCookie("expires")));
    }
    assert_eq!(
        InvalidCookie("path").to_string(),
        "the cookie option `path` is invalid"
    );
}

#[test]
fn odd_but_legal_domains_pass() {
    let longest = "a".repeat(63) + ".b";
    for domain in ["localhost", "127.0.0.1", "a", "x-y.Z9", &longest] {
        assert!(
            Cookie::builder("io").domain(domain).build().is_ok(),
            "{domain}"
        );
    }
}

#[test]
fn dates_are_written_as_http_writes_them() {
    let table = [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (86_399, "Thu, 01 Jan 1970 23:59:59 GMT"),
        (951_825_600, "Tue, 29 Feb 2000 12:00:00 GMT"),
        (1_898_553_599, "Thu, 28 Feb 2030 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ];
    for (seconds, text) in table {
        assert_eq!(http_date(at(seconds)).as_deref(), Some(text));
    }
}
