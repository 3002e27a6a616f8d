//! The contract between a Socket.IO server and its cluster: targets, adapter, connection state recovery.
