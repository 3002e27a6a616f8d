//! Expected headers, in their order, are what `cors` 2.8.6 on Node.js sent for the same options
//! and requests.

use super::*;

const A: &str = "http://a.com";
const EVIL: &str = "http://evil.com";
const METHODS: &str = "access-control-allow-methods: GET,HEAD,PUT,PATCH,POST,DELETE";

/// The reply: `204` (or another status) if it was answered, then the headers, one a line.
fn reply(cors: &Cors, method: Method, request: &[(&str, &str)]) -> Vec<String> {
    reply_onto(cors, method, request, HeaderMap::new())
}

fn reply_onto(
    cors: &Cors,
    method: Method,
    request: &[(&str, &str)],
    mut response: HeaderMap,
) -> Vec<String> {
    let applied = cors.apply(&method, &headers(request), &mut response);
    let status = match applied {
        Applied::Continue => "continue".to_owned(),
        Applied::Preflight(status) => status.as_str().to_owned(),
    };
    let lines = response
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")));
    std::iter::once(status).chain(lines).collect()
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            let name = HeaderName::try_from(*name).expect("a name");
            (name, HeaderValue::try_from(*value).expect("a value"))
        })
        .collect()
}

fn preflight(cors: &Cors, origin: &str) -> Vec<String> {
    reply(
        cors,
        Method::OPTIONS,
        &[
            ("origin", origin),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "x-a, X-B"),
        ],
    )
}

fn get(cors: &Cors, origin: &str) -> Vec<String> {
    reply(cors, Method::GET, &[("origin", origin)])
}

fn with(origin: impl Into<AllowOrigin>) -> Cors {
    Cors::builder()
        .origin(origin)
        .build()
        .expect("legal options")
}

#[test]
fn any_origin_is_a_star_and_mirrors_the_requested_headers() {
    for cors in [Cors::any(), with("*")] {
        assert_eq!(
            preflight(&cors, A),
            [
                "204",
                "access-control-allow-origin: *",
                METHODS,
                "vary: Access-Control-Request-Headers",
                "access-control-allow-headers: x-a, X-B",
                "content-length: 0",
            ]
        );
        assert_eq!(
            get(&cors, A),
            ["continue", "access-control-allow-origin: *"]
        );
    }
}

#[test]
fn every_option_is_forwarded_and_a_fixed_origin_is_sent_to_everybody() {
    let cors = Cors::builder()
        .origin(A)
        .methods([Method::GET, Method::PUT])
        .allowed_headers(["X-A", "X-B"])
        .exposed_headers(["X-E", "X-F"])
        .credentials(true)
        .max_age(Duration::from_secs(600))
        .build()
        .expect("legal options");
    let answered = [
        "204",
        "access-control-allow-origin: http://a.com",
        "vary: Origin",
        "access-control-allow-credentials: true",
        "access-control-allow-methods: GET,PUT",
        "access-control-allow-headers: X-A,X-B",
        "access-control-max-age: 600",
        "access-control-expose-headers: X-E,X-F",
        "content-length: 0",
    ];
    assert_eq!(preflight(&cors, A), answered);
    assert_eq!(reply(&cors, Method::OPTIONS, &[]), answered);
    let passed = [
        "continue",
        "access-control-allow-origin: http://a.com",
        "vary: Origin",
        "access-control-allow-credentials: true",
        "access-control-expose-headers: X-E,X-F",
    ];
    assert_eq!(get(&cors, A), passed);
    assert_eq!(get(&cors, EVIL), passed, "A193");
    assert_eq!(reply(&cors, Method::POST, &[]), passed);
}

#[test]
fn a_list_or_a_pattern_names_the_origin_only_if_it_matches() {
    let pattern = AllowOrigin::matching(|origin| origin == A);
    for cors in [
        with([A, "http://b.com"]),
        with(vec![A.to_owned()]),
        with(pattern),
    ] {
        assert_eq!(
            preflight(&cors, A),
            [
                "204",
                "access-control-allow-origin: http://a.com",
                "vary: Origin, Access-Control-Request-Headers",
                METHODS,
                "access-control-allow-headers: x-a, X-B",
                "content-length: 0",
            ]
        );
        let named = [
            "continue",
            "access-control-allow-origin: http://a.com",
            "vary: Origin",
        ];
        assert_eq!(get(&cors, A), named);
        let lines: &[&[(&str, &str)]] = &[
            &[],
            &[("origin", "")],
            &[("origin", EVIL)],
            &[("origin", "http://A.com")],
            &[("origin", "http://a.com/")],
            &[("origin", "http://a.com$.evil")],
            &[("origin", "http://a.com`.evil")],
            &[("origin", "http://a.com.evil")],
            &[("origin", "null")],
            &[("origin", A), ("origin", EVIL)],
        ];
        for request in lines {
            assert_eq!(
                reply(&cors, Method::GET, request),
                ["continue", "vary: Origin"],
                "I003"
            );
        }
        assert_eq!(
            reply(&cors, Method::OPTIONS, &[]),
            [
                "204",
                "vary: Origin, Access-Control-Request-Headers",
                METHODS,
                "content-length: 0"
            ]
        );
    }
}

#[test]
fn an_empty_list_matches_nobody() {
    assert_eq!(
        get(&with(Vec::<String>::new()), A),
        ["continue", "vary: Origin"]
    );
}

#[test]
fn mirroring_names_whoever_asks() {
    for cors in [with(true), with(AllowOrigin::decide(|_| true))] {
        for origin in [A, EVIL] {
            let named = format!("access-control-allow-origin: {origin}");
            assert_eq!(get(&cors, origin), ["continue", &*named, "vary: Origin"]);
        }
        assert_eq!(reply(&cors, Method::GET, &[]), ["continue", "vary: Origin"]);
    }
}

#[test]
fn off_sets_nothing_and_leaves_preflights_to_the_engine() {
    let nested = Cors::per_request(|_| Cors::per_request(|_| Cors::any()));
    for cors in [with(false), with(AllowOrigin::decide(|_| false)), nested] {
        assert_eq!(preflight(&cors, A), ["continue"]);
        assert_eq!(get(&cors, A), ["continue"]);
    }
}

#[test]
fn functions_see_the_headers_of_the_request() {
    let cors = with(AllowOrigin::decide(|headers| {
        headers.contains_key("x-partner")
    }));
    assert_eq!(get(&cors, A), ["continue"]);
    assert_eq!(
        reply(&cors, Method::GET, &[("origin", A), ("x-partner", "1")]),
        [
            "continue",
            "access-control-allow-origin: http://a.com",
            "vary: Origin"
        ]
    );
    let cors = Cors::per_request(|headers| {
        if headers.contains_key("x-partner") {
            Cors::any()
        } else {
            with(false)
        }
    });
    assert_eq!(get(&cors, A), ["continue"]);
    assert_eq!(
        reply(&cors, Method::GET, &[("x-partner", "1")]),
        ["continue", "access-control-allow-origin: *"]
    );
}

#[test]
fn credentials_go_with_a_star_too_and_the_browser_refuses() {
    let cors = Cors::builder()
        .credentials(true)
        .build()
        .expect("legal options");
    assert_eq!(
        get(&cors, A),
        [
            "continue",
            "access-control-allow-origin: *",
            "access-control-allow-credentials: true"
        ]
    );
}

#[test]
fn empty_lists_leave_their_headers_out() {
    let cors = Cors::builder()
        .methods([])
        .allowed_headers([""; 0])
        .exposed_headers([""; 0])
        .max_age(Duration::ZERO)
        .build()
        .expect("legal options");
    assert_eq!(
        preflight(&cors, A),
        [
            "204",
            "access-control-allow-origin: *",
            "access-control-max-age: 0",
            "content-length: 0"
        ]
    );
}

#[test]
fn requested_headers_on_several_lines_are_joined() {
    let name = "access-control-request-headers";
    assert_eq!(
        reply(&Cors::any(), Method::OPTIONS, &[(name, "a"), (name, "b")])[4],
        "access-control-allow-headers: a, b"
    );
}

#[test]
fn a_preflight_may_be_handed_on_or_answered_with_another_status() {
    let handed_on = Cors::builder()
        .preflight_continue(true)
        .build()
        .expect("legal options");
    assert_eq!(
        reply(&handed_on, Method::OPTIONS, &[("origin", A)]),
        [
            "continue",
            "access-control-allow-origin: *",
            METHODS,
            "vary: Access-Control-Request-Headers",
        ]
    );
    let ok = Cors::builder()
        .options_success_status(StatusCode::OK)
        .build()
        .expect("legal options");
    assert_eq!(reply(&ok, Method::OPTIONS, &[])[0], "200");
}

#[test]
fn a_vary_that_is_there_is_extended_once() {
    let table = [
        ("Accept-Encoding", "vary: Accept-Encoding, Origin"),
        ("accept, origin", "vary: accept, origin"),
        ("*", "vary: *"),
        ("Original", "vary: Original, Origin"),
    ];
    for (before, after) in table {
        let response = headers(&[("vary", before)]);
        let lines = reply_onto(&with(A), Method::GET, &[("origin", A)], response);
        assert!(lines.contains(&after.to_owned()), "{before}: {lines:?}");
    }
}

#[test]
fn options_that_no_header_may_hold_are_refused_when_built() {
    let broken = "x\r\nset-cookie: a=b";
    assert_eq!(
        Cors::builder().origin(broken).build().err(),
        Some(InvalidCors("origin"))
    );
    assert_eq!(
        Cors::builder().origin("").build().err(),
        Some(InvalidCors("origin"))
    );
    let error = Cors::builder()
        .allowed_headers([broken])
        .build()
        .expect_err("illegal");
    assert_eq!(
        error.to_string(),
        "the CORS option `allowed_headers` is no legal header value"
    );
    assert!(Cors::builder().exposed_headers([broken]).build().is_err());
}
