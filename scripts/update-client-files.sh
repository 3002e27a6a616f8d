#!/bin/sh
# Refreshes the bundles of the official client that Sala serves (crates/sala/assets/client-dist).
#
#   scripts/update-client-files.sh 4.8.4     fetch this version of socket.io from npm
#   scripts/update-client-files.sh --check   only check that the compressed copies fit the bundles
#
# Needs npm and Node.js 20 or later. npm verifies the integrity of what it fetches.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
assets=$root/crates/sala/assets/client-dist
source=$root/crates/sala/src/client_files.rs

check() {
    node -e '
        const fs = require("fs"), zlib = require("zlib");
        const bundles = fs.readdirSync(".").filter((name) => /\.(js|map)$/.test(name));
        for (const name of bundles) {
            const bundle = fs.readFileSync(name);
            const same = zlib.gunzipSync(fs.readFileSync(name + ".gz")).equals(bundle)
                && zlib.brotliDecompressSync(fs.readFileSync(name + ".br")).equals(bundle);
            if (!same) throw new Error(`the compressed copies of ${name} differ from it`);
        }
        console.log(`${bundles.length} bundles, compressed copies fit`);
    '
}

version=${1:?version of socket.io, or --check}
if [ "$version" = --check ]; then
    cd "$assets"
    check
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "socket.io@$version" > /dev/null
tar -xzf "socket.io-$version.tgz"

rm -f "$assets"/socket.io.*
cp package/client-dist/socket.io.* package/LICENSE "$assets"
cd "$assets"
chmod 644 ./*
node -e '
    const fs = require("fs"), zlib = require("zlib");
    for (const name of fs.readdirSync(".").filter((name) => /\.(js|map)$/.test(name))) {
        const bundle = fs.readFileSync(name);
        fs.writeFileSync(name + ".gz", zlib.gzipSync(bundle, { level: 9 }));
        fs.writeFileSync(name + ".br", zlib.brotliCompressSync(bundle));
    }
'
check

# The version is part of the ETag; cat keeps the mode of the files.
sed "s/^const VERSION: &str = .*/const VERSION: \&str = \"$version\";/" "$source" > "$work/source"
cat "$work/source" > "$source"
sed "s/\*\*version [^*]*\*\*/**version $version**/" README.md > "$work/readme"
cat "$work/readme" > README.md
echo "Now look at git status and at the list of files in crates/sala/src/client_files.rs"
