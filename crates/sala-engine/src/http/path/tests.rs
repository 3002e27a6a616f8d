use super::*;

#[test]
fn a_request_is_ours_if_its_target_starts_with_the_path() {
    // The option, whether a slash is added, the prefix, targets that are ours, targets that are not.
    type Row<'a> = (&'a str, bool, &'a str, &'a [&'a str], &'a [&'a str]);
    let table: &[Row<'_>] = &[
        (
            "/socket.io",
            true,
            "/socket.io/",
            &[
                "/socket.io/",
                "/socket.io/?EIO=4",
                "/socket.io/foo/bar?EIO=4",
                "/socket.io//",
            ],
            &[
                "/",
                "",
                "*",
                "/socket.io",
                "/socket.io?EIO=4",
                "/socket.io-admin",
                "/socket.io-admin/?EIO=4",
                "/Socket.io/",
                "/%73ocket.io/",
                "//socket.io/",
                "/x/socket.io/",
                "http://host/socket.io/",
            ],
        ),
        (
            "/engine.io",
            true,
            "/engine.io/",
            &["/engine.io/"],
            &["/engine.io-admin"],
        ),
        ("/x/", true, "/x/", &["/x/?EIO=4"], &["/x", "/socket.io/"]),
        ("/x//", true, "/x//", &["/x//"], &["/x/"]),
        ("/", true, "/", &["/", "/anything"], &["*"]),
        ("", true, "/", &["/", "/anything"], &["*"]),
        ("x", true, "x/", &[], &["/x/"]),
        (
            "/socket.io",
            false,
            "/socket.io",
            &[
                "/socket.io",
                "/socket.io?EIO=4",
                "/socket.io/?EIO=4",
                "/socket.iofoo",
            ],
            &["/socket.i", "/other"],
        ),
        (
            "/socket.io/",
            false,
            "/socket.io",
            &["/socket.io?EIO=4"],
            &["/"],
        ),
    ];
    for &(option, slash, prefix, ours, others) in table {
        let path = PathPrefix::new(option, slash);
        assert_eq!(path.as_str(), prefix);
        for target in ours {
            assert!(path.matches(target), "{option} {slash}: {target}");
        }
        for target in others {
            assert!(!path.matches(target), "{option} {slash}: {target}");
        }
    }
}

#[test]
fn a_file_name_is_what_follows_the_path() {
    for slash in [true, false] {
        let path = PathPrefix::new("/socket.io", slash);
        let table = [
            ("/socket.io/socket.io.js", Some("socket.io.js")),
            ("/socket.io/socket.io.js?v=1?2", Some("socket.io.js")),
            ("/socket.io/a/../socket.io.js", Some("a/../socket.io.js")),
            ("/socket.io/?EIO=4", Some("")),
            ("/socket.io", None),
            ("/socket.io?/socket.io.js", None),
            ("/socket.iosocket.io.js", None),
            ("/socket.io.js", None),
        ];
        for (target, name) in table {
            assert_eq!(path.file_name(target), name, "{target}");
        }
    }
}
