#!/bin/sh
# Print the path of a `clef` program: the one on the PATH, or one built once from source into a cache folder.
#
# Building needs Go (the version in scripts/clef/go.mod or newer; Go itself fetches a newer one where it may) and takes
# minutes. clef and everything it depends on are pinned by hash in scripts/clef/go.sum.
# FLARE_CACHE sets the cache folder (default: ~/.cache/flare).
set -eu

version=v1.17.0
here=$(cd "$(dirname "$0")" && pwd)

if on_path=$(command -v clef); then
    echo "$on_path"
    exit 0
fi

folder="${FLARE_CACHE:-$HOME/.cache/flare}/clef/$version"
if [ -x "$folder/clef" ]; then
    echo "$folder/clef"
    exit 0
fi

if ! command -v go >/dev/null; then
    echo "clef is not installed and cannot be built without Go." >&2
    echo "Install clef (https://clef.ethereum.org/docs/getting-started/installing-clef) or Go (https://go.dev/doc/install), and run this again." >&2
    exit 1
fi

echo "Building clef $version into $folder (minutes) ..." >&2
mkdir -p "$folder"
# Built under another name and moved, so that an interrupted build leaves nothing that looks finished.
(cd "$here/clef" && go build -mod=readonly -trimpath -buildvcs=false -ldflags='-s -w' \
    -o "$folder/clef.$$" github.com/ethereum/go-ethereum/cmd/clef) >&2
mv "$folder/clef.$$" "$folder/clef"
echo "$folder/clef"
