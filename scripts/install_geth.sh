#!/bin/sh
# Print the path of a `geth` program: the one on the PATH, or one built once from source into a cache folder.
#
# Building needs Go (the version in scripts/geth/go.mod or newer; Go itself fetches a newer one where it may) and takes
# minutes. geth and everything it depends on are pinned by hash in scripts/geth/go.sum.
# FLARE_CACHE sets the cache folder (default: ~/.cache/flare).
set -eu

version=v1.17.10
here=$(cd "$(dirname "$0")" && pwd)

if on_path=$(command -v geth); then
    echo "$on_path"
    exit 0
fi

folder="${FLARE_CACHE:-$HOME/.cache/flare}/geth/$version"
if [ -x "$folder/geth" ]; then
    echo "$folder/geth"
    exit 0
fi

if ! command -v go >/dev/null; then
    echo "geth is not installed and cannot be built without Go." >&2
    echo "Install geth (https://geth.ethereum.org/docs/getting-started/installing-geth) or Go (https://go.dev/doc/install), and run this again." >&2
    exit 1
fi

echo "Building geth $version into $folder (minutes) ..." >&2
mkdir -p "$folder"
# Built under another name and moved, so that an interrupted build leaves nothing that looks finished.
(cd "$here/geth" && go build -mod=readonly -trimpath -buildvcs=false -ldflags='-s -w' \
    -o "$folder/geth.$$" github.com/ethereum/go-ethereum/cmd/geth) >&2
mv "$folder/geth.$$" "$folder/geth"
echo "$folder/geth"
