//! Lists and maps whose length is known only at their end.

use super::form::{Kind, MAX_SHORT, short_marker, write_head};

/// Appends values; the markers of those that turn out to be long are put in at the end, all at once.
pub(crate) struct Growing<'b> {
    out: &'b mut Vec<u8>,
    open: Vec<Container>,
    long: Vec<Container>,
}

/// A list or map, of how many items so far, and where the byte for its marker is.
struct Container {
    at: usize,
    kind: Kind,
    len: usize,
}

impl<'b> Growing<'b> {
    pub(crate) fn new(out: &'b mut Vec<u8>) -> Self {
        Self {
            out,
            open: Vec::new(),
            long: Vec::new(),
        }
    }

    /// Where the next item, or the value of the next member, is written.
    pub(crate) fn item(&mut self) -> &mut Vec<u8> {
        if let Some(container) = self.open.last_mut() {
            container.len += 1;
        }
        self.out
    }

    /// Where the next key is written.
    pub(crate) fn key(&mut self) -> &mut Vec<u8> {
        self.out
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.open.last(), Some(container) if container.kind == Kind::Map)
    }

    pub(crate) fn open(&mut self, kind: Kind) {
        let out = self.item();
        let at = out.len();
        out.push(0);
        self.open.push(Container { at, kind, len: 0 });
    }

    pub(crate) fn close(&mut self) {
        match self.open.pop() {
            Some(short) if short.len <= MAX_SHORT => {
                self.out[short.at] = short_marker(short.kind, short.len);
            }
            Some(long) => self.long.push(long),
            None => {}
        }
    }

    /// Makes room for the markers of more than a byte, from the last to the first, so that each byte
    /// moves once.
    pub(crate) fn finish(mut self) {
        self.long.sort_unstable_by_key(|container| container.at);
        let mut head = Vec::with_capacity(5);
        let more = |container: &Container| if container.len <= 0xffff { 2 } else { 4 };
        let mut end = self.out.len();
        let mut to = end + self.long.iter().map(more).sum::<usize>();
        self.out.resize(to, 0);
        for container in self.long.iter().rev() {
            let after = container.at + 1;
            to -= end - after;
            self.out.copy_within(after..end, to);
            head.clear();
            write_head(&mut head, container.kind, container.len);
            to -= head.len();
            self.out[to..to + head.len()].copy_from_slice(&head);
            end = container.at;
        }
    }
}
