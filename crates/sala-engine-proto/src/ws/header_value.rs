//! Reading header values: tokens, lists, parameters.

use std::borrow::Cow;

/// Whether this byte may stand in a token (RFC 9110 section 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
        | b'|' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// Reads one header value from left to right, each byte once.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    /// The next byte.
    pub(super) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Takes the next byte if it is this one.
    pub(super) fn next_if(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    pub(super) fn skip_spaces(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// A token with spaces around it: the name of an element of a list.
    pub(super) fn element_token(&mut self) -> Option<&'a [u8]> {
        self.skip_spaces();
        let token = self.take_while(is_token);
        self.skip_spaces();
        (!token.is_empty()).then_some(token)
    }

    /// The name of a parameter: a token with spaces around it, though none before a `=`.
    pub(super) fn param_token(&mut self) -> Option<&'a [u8]> {
        self.skip_spaces();
        let token = self.take_while(is_token);
        if self.rest.first() != Some(&b'=') {
            self.skip_spaces();
            if self.rest.first() == Some(&b'=') {
                return None;
            }
        }
        (!token.is_empty()).then_some(token)
    }

    /// The value of a parameter: a token, or one in quotes.
    pub(super) fn value(&mut self) -> Option<Cow<'a, [u8]>> {
        if !self.next_if(b'"') {
            let token = self.take_while(is_token);
            return (!token.is_empty()).then_some(Cow::Borrowed(token));
        }
        let mut value = Vec::new();
        loop {
            let byte = match self.next()? {
                b'"' if !value.is_empty() => return Some(Cow::Owned(value)),
                b'\\' => self.next()?,
                byte => byte,
            };
            if !is_token(byte) {
                return None;
            }
            value.push(byte);
        }
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let len = self
            .rest
            .iter()
            .position(|byte| !keep(*byte))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }
}
