//! The PROXY protocol, versions 1 and 2: a balancer in front tells the client's address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest line of version 1, with its end.
const MAX_V1: usize = 107;
/// The longest header of version 2 that is taken: balancers add tags, of which none is large.
const MAX_V2: usize = 4096;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a connection from a balancer begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    Partial,
    /// The client's address, if the balancer tells it, and how long the header was.
    Client(Option<SocketAddr>, usize),
    /// No PROXY header: the balancer is not set up to send one.
    Malformed,
}

/// Reads the header with which a connection begins.
pub(crate) fn announced(input: &[u8]) -> Announced {
    let v2 = input.len().min(SIGNATURE.len());
    if input[..v2] == SIGNATURE[..v2] {
        return version_2(input).unwrap_or(Announced::Malformed);
    }
    let v1 = input.len().min(6);
    if input[..v1] != b"PROXY "[..v1] {
        return Announced::Malformed;
    }
    let window = &input[..input.len().min(MAX_V1)];
    match memchr::memchr(b'\n', window) {
        Some(end) => version_1(&input[..end], end + 1).unwrap_or(Announced::Malformed),
        None if input.len() < MAX_V1 => Announced::Partial,
        None => Announced::Malformed,
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 50000 80` with a carriage return behind it.
fn version_1(line: &[u8], len: usize) -> Option<Announced> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\r')?;
    let mut words = line.split(' ').skip(1);
    let client = match words.next()? {
        "UNKNOWN" => None,
        family @ ("TCP4" | "TCP6") => {
            let ip: IpAddr = words.next()?.parse().ok()?;
            let port = words.nth(1)?.parse().ok()?;
            if ip.is_ipv4() != (family == "TCP4") {
                return None;
            }
            Some(SocketAddr::new(ip, port))
        }
        _ => return None,
    };
    Some(Announced::Client(client, len))
}

fn version_2(input: &[u8]) -> Option<Announced> {
    let Some(head) = input.first_chunk::<16>() else {
        return Some(Announced::Partial);
    };
    let len = usize::from(u16::from_be_bytes([head[14], head[15]]));
    let total = 16 + len;
    if head[12] >> 4 != 2 || total > MAX_V2 {
        return None;
    }
    if input.len() < total {
        return Some(Announced::Partial);
    }
    let addresses = &input[16..total];
    let port = |at: usize| {
        Some(u16::from_be_bytes([
            *addresses.get(at)?,
            *addresses.get(at + 1)?,
        ]))
    };
    let client = match (head[12] & 15, head[13]) {
        // The balancer itself, such as a health check.
        (0, _) => None,
        (1, 0x11) => {
            let ip = Ipv4Addr::from(*addresses.first_chunk::<4>()?);
            Some(SocketAddr::new(ip.into(), port(8)?))
        }
        (1, 0x21) => {
            let ip = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
            Some(SocketAddr::new(ip.into(), port(32)?))
        }
        // A family without ports: the address is not known.
        (1, _) => None,
        _ => return None,
    };
    Some(Announced::Client(client, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([0x20 | command, family]);
        header.extend((addresses.len() as u16).to_be_bytes());
        header.extend(addresses);
        header
    }

    #[test]
    fn the_client_is_known_once_the_header_is_whole() {
        let v4 = v2(
            1,
            0x11,
            &[192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 80, 3, 0, 0],
        );
        let mut v6 = vec![0; 36];
        v6[15] = 1;
        v6[33] = 9;
        let table: [(Vec<u8>, Option<&str>); 7] = [
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 80\r\n".to_vec(),
                Some("192.0.2.1:50000"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 5 6\r\n".to_vec(),
                Some("[2001:db8::1]:5"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v4, Some("192.0.2.1:4660")),
            (v2(1, 0x21, &v6), Some("[::1]:9")),
            (v2(0, 0, &[]), None),
            (v2(1, 0x31, &[0; 216]), None),
        ];
        for (header, client) in table {
            for at in 0..header.len() {
                assert_eq!(
                    announced(&header[..at]),
                    Announced::Partial,
                    "{at} of {header:?}"
                );
            }
            let expected = Announced::Client(client.map(|c| c.parse().unwrap()), header.len());
            let input = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(announced(&input), expected);
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for input in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 ::1 ::1 5 6\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 5 6\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 6\r\n",
            b"PROXY TCP4\r\n",
            b"PROXY  TCP4 1.2.3.4 1.2.3.4 5 6\r\n",
            b"\r\n\r\n\0\r\nQUIT\r",
            &v2(2, 0x11, &[0; 12]),
            &v2(1, 0x11, &[0; 8]),
            &v2(1, 0x11, &[0; 5000]),
            &[b'P', b'R', b'O', b'X', b'Y', b' ']
                .iter()
                .copied()
                .chain([b'a'; 200])
                .collect::<Vec<_>>(),
        ] {
            assert_eq!(announced(input), Announced::Malformed, "{input:?}");
        }
    }
}
