//! The rows of the reference, one module per group. Row ids such as A042 are explained in `docs/COMPAT.md`.

mod engine_requests;
