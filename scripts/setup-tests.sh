#!/usr/bin/env bash
# Installs what the tests need on a Debian machine with Rust, Node.js and npm. Safe to run again:
# what is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v valgrind >/dev/null || missing+=(valgrind)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
# Debian starts a Redis of its own with these packages; the tests never speak to it, they start private ones.
command -v redis-server >/dev/null || missing+=(redis-server)
command -v redis-sentinel >/dev/null || missing+=(redis-sentinel)
command -v redis-cli >/dev/null || missing+=(redis-tools)
if ((${#missing[@]})); then
  echo "setup: installing ${missing[*]}"
  sudo=()
  [[ $(id -u) == 0 ]] || sudo=(sudo)
  "${sudo[@]}" apt-get update -q
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

if ! cargo nextest --version >/dev/null 2>&1; then
  echo "setup: installing cargo-nextest"
  cargo install --locked cargo-nextest
fi

# The official clients and servers, at the versions of the lock file.
stamp=interop/node_modules/.installed
if ! cmp -s interop/package-lock.json "$stamp"; then
  echo "setup: installing the official packages"
  (cd interop && npm ci --no-audit --no-fund --loglevel=error)
  cp interop/package-lock.json "$stamp"
fi
echo "setup: done"
