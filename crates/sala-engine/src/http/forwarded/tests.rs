use http::HeaderValue;

use super::*;

fn trusted() -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8", "::1"].map(|net| net.parse().unwrap()))
}

/// The client of a request from a peer, and what is left of the header.
fn client(proxies: &TrustedProxies, peer: &str, lines: &[&[u8]]) -> (String, usize) {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
    }
    let client = proxies.client(peer.parse().unwrap(), &mut headers);
    (
        client.to_string(),
        headers.get_all(FORWARDED_FOR).iter().count(),
    )
}

#[test]
fn the_client_is_the_last_address_that_is_no_proxy() {
    let table: &[(&[&[u8]], &str)] = &[
        (&[], "10.1.1.1:9"),
        (&[b"192.0.2.1"], "192.0.2.1:0"),
        (&[b"192.0.2.1:77"], "192.0.2.1:77"),
        (&[b"2001:db8::1"], "[2001:db8::1]:0"),
        (&[b"[2001:db8::1]"], "[2001:db8::1]:0"),
        (&[b"[2001:db8::1]:5"], "[2001:db8::1]:5"),
        // What the client itself has sent stands further left, on lines of its own or not.
        (&[b"8.8.8.8, 10.0.0.9, 192.0.2.1"], "192.0.2.1:0"),
        (&[b"8.8.8.8, 192.0.2.1 ,10.0.0.9,::1"], "192.0.2.1:0"),
        (&[b"8.8.8.8", b"192.0.2.1", b"10.0.0.9"], "192.0.2.1:0"),
        (&[b"8.8.8.8,192.0.2.1", b"::ffff:10.0.0.9"], "192.0.2.1:0"),
        // A client among the proxies.
        (&[b"10.0.0.3, 10.0.0.9"], "10.0.0.3:0"),
    ];
    for (lines, expected) in table {
        let found = client(&trusted(), "10.1.1.1:9", lines);
        assert_eq!(found, ((*expected).into(), lines.len()), "{lines:?}");
    }
}

#[test]
fn what_is_no_address_ends_the_list() {
    let long = [&b"8.8.8.8,"[..], &b"10.0.0.1,".repeat(1500)].concat();
    let table: &[(&[u8], &str)] = &[
        (b"", "10.1.1.1:9"),
        (b",,,", "10.1.1.1:9"),
        (b"unknown", "10.1.1.1:9"),
        (b"8.8.8.8, unknown, 10.0.0.2", "10.0.0.2:0"),
        (b"8.8.8.8, _hidden", "10.1.1.1:9"),
        (b"8.8.8.8, \xff\xfe, 10.0.0.2", "10.0.0.2:0"),
        (b"8.8.8.8:99999", "10.1.1.1:9"),
        (b"8.8.8.8:", "10.1.1.1:9"),
        (b"[", "10.1.1.1:9"),
        (b"[]:1", "10.1.1.1:9"),
        (b"[8.8.8.8", "10.1.1.1:9"),
        (b"fe80::1%eth0", "10.1.1.1:9"),
        (b"010.0.0.1", "10.1.1.1:9"),
        (b"1.2.3", "10.1.1.1:9"),
        (b"\"8.8.8.8\"", "10.1.1.1:9"),
        (&long, "10.1.1.1:9"),
    ];
    for (line, expected) in table {
        let (found, _) = client(&trusted(), "10.1.1.1:9", &[line]);
        assert_eq!(found, *expected, "{:?}", line.escape_ascii().to_string());
    }
}

#[test]
fn who_is_not_trusted_cannot_say_anything() {
    for peer in ["192.0.2.7:1", "[::2]:1", "11.0.0.1:1"] {
        let found = client(&trusted(), peer, &[b"8.8.8.8", b"10.0.0.1"]);
        assert_eq!(found, (peer.into(), 0), "the header is gone");
    }
    let (found, _) = client(&trusted(), "[::ffff:10.0.0.1]:1", &[b"8.8.8.8"]);
    assert_eq!(found, "8.8.8.8:0");
}

#[test]
fn without_trusted_proxies_nothing_is_looked_at() {
    let found = client(&TrustedProxies::default(), "10.0.0.1:1", &[b"8.8.8.8"]);
    assert_eq!(found, ("10.0.0.1:1".into(), 1));
}
