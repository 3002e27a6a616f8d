//! Micro benches and instruction-count gates.
