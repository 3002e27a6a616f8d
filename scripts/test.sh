#!/usr/bin/env bash
# Everything that has to hold before a change lands: format, lints, tests, documentation.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup-tests.sh

step() { printf '\n== %s\n' "$*"; "$@"; }
export RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings"
step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
# Each alone: in the workspace one crate's features hide what another one lacks.
for manifest in crates/*/Cargo.toml examples/*/Cargo.toml cli/Cargo.toml; do
	step cargo check --quiet --locked --manifest-path "$manifest"
done
step cargo nextest run --workspace --locked
step cargo test --workspace --doc --locked
step cargo doc --workspace --no-deps --locked
printf '\nAll checks passed.\n'
