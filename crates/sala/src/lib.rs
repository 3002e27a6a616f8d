//! A Socket.IO server: namespaces, rooms, acknowledgements, middlewares, connection state recovery.
