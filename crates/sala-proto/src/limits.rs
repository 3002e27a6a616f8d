//! Bounds on what a peer may send.

/// How deep data may nest, decoded or encoded. A thread's default stack bears it with the frames of
/// an unoptimized build.
pub(crate) const MAX_DEPTH: usize = 512;

/// Bounds on what one peer may send in one packet.
///
/// The size of a message is limited below, by the transport. These limits hold before any
/// authentication has happened: packets are decoded before a namespace is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Attachments of one packet. Default 10, as in the reference.
    pub max_attachments: usize,
    /// Bytes of all attachments of one packet together, kept until the last one has arrived.
    /// Default 16 MiB: a little above what the reference's defaults let through (ten messages of
    /// 1,000,000 bytes).
    pub max_attachment_bytes: usize,
    /// Arrays and objects inside each other. Default 512, which is also the most: building
    /// and dropping a value tree recurses. The reference knows no bound. Typed arguments are bounded by 128 whatever this says; deeper ones
    /// are a failure of [`Args::parse`](crate::Args::parse), not of the connection.
    pub max_depth: usize,
    /// Bytes of a namespace, with its query. Default 1024. The reference knows no bound.
    pub max_namespace: usize,
    /// Bytes of an event name as it is on the wire. Default 1024. The reference knows no bound.
    pub max_event: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_attachments: 10,
            max_attachment_bytes: 16 * 1024 * 1024,
            max_depth: 512,
            max_namespace: 1024,
            max_event: 1024,
        }
    }
}

impl Limits {
    /// The depth that is really used.
    pub(crate) fn depth(&self) -> usize {
        self.max_depth.min(MAX_DEPTH)
    }

    /// Sets [`max_attachments`](Self::max_attachments).
    #[must_use]
    pub fn attachments(mut self, count: usize) -> Self {
        self.max_attachments = count;
        self
    }

    /// Sets [`max_attachment_bytes`](Self::max_attachment_bytes).
    #[must_use]
    pub fn attachment_bytes(mut self, bytes: usize) -> Self {
        self.max_attachment_bytes = bytes;
        self
    }

    /// Sets [`max_depth`](Self::max_depth).
    #[must_use]
    pub fn nesting(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// Sets [`max_namespace`](Self::max_namespace).
    #[must_use]
    pub fn namespace(mut self, bytes: usize) -> Self {
        self.max_namespace = bytes;
        self
    }

    /// Sets [`max_event`](Self::max_event).
    #[must_use]
    pub fn event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }
}
