//! Tests with programs written by others and with raw bytes.
