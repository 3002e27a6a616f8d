//! Which stream the messages of a namespace go to.

/// The stream of a namespace: the only one, or one of `count` by the hash of its name.
///
/// The reference keeps the sign of the hash: a name whose hash is negative gets a stream with a
/// negative number, such as `socket.io--3`, to which its servers write but which none of them reads.
/// Ours read it, so that they reach each other and hear the others.
pub(crate) fn stream_of(namespace: &str, name: &str, count: u32) -> String {
    if count == 1 {
        return name.to_owned();
    }
    format!("{name}-{}", i64::from(hash(namespace)) % i64::from(count))
}

/// Whether servers of the reference read this namespace's stream.
pub(crate) fn is_read_by_the_reference(namespace: &str, count: u32) -> bool {
    i64::from(hash(namespace)) % i64::from(count) >= 0
}

/// The hash of a text as Java has it, over its UTF-16 units.
fn hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_the_reference() {
        assert_eq!(hash("/"), 47);
        assert_eq!(hash("/chat"), 46_457_863);
        assert_eq!(hash(""), 0);
        // Outside of the basic plane: two units.
        assert_eq!(hash("\u{1f600}"), 0xd83d * 31 + 0xde00);
        assert_eq!(hash("polygenelubricants"), i32::MIN);
    }

    #[test]
    fn one_stream_has_the_name_alone() {
        assert_eq!(stream_of("/chat", "socket.io", 1), "socket.io");
    }

    #[test]
    fn several_streams_are_numbered() {
        assert_eq!(stream_of("/", "st", 4), "st-3");
        assert_eq!(stream_of("/chat", "st", 4), "st-3");
        assert_eq!(stream_of("/", "st", 0xffff_ffff), "st-47");
    }

    #[test]
    fn a_negative_hash_gives_the_negative_number_of_the_reference() {
        assert_eq!(stream_of("polygenelubricants", "st", 3), "st--2");
        assert!(!is_read_by_the_reference("polygenelubricants", 3));
        // No remainder, no sign.
        assert!(is_read_by_the_reference("polygenelubricants", 4));
        assert!(is_read_by_the_reference("/", 4));
    }
}
