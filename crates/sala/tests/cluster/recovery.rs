//! Connection state recovery through a store that all servers share.
