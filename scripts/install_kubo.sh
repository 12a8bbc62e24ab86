#!/bin/sh
# Print the path of a Kubo `ipfs` program: the one on the PATH, or one built once from source into a cache folder.
#
# Building needs Go (the version in scripts/kubo/go.mod or newer; Go itself fetches a newer one where it may) and takes
# minutes. Kubo and everything it depends on are pinned by hash in scripts/kubo/go.sum.
# FLARE_CACHE sets the cache folder (default: ~/.cache/flare).
set -eu

version=v0.43.0
here=$(cd "$(dirname "$0")" && pwd)

if on_path=$(command -v ipfs); then
    echo "$on_path"
    exit 0
fi

folder="${FLARE_CACHE:-$HOME/.cache/flare}/kubo/$version"
if [ -x "$folder/ipfs" ]; then
    echo "$folder/ipfs"
    exit 0
fi

if ! command -v go >/dev/null; then
    echo "Kubo is not installed and cannot be built without Go." >&2
    echo "Install Kubo (https://docs.ipfs.tech/install/) or Go (https://go.dev/doc/install), and run this again." >&2
    exit 1
fi

echo "Building Kubo $version into $folder (minutes) ..." >&2
mkdir -p "$folder"
# Built under another name and moved, so that an interrupted build leaves nothing that looks finished.
(cd "$here/kubo" && go build -mod=readonly -trimpath -buildvcs=false -ldflags='-s -w' \
    -o "$folder/ipfs.$$" github.com/ipfs/kubo/cmd/ipfs) >&2
mv "$folder/ipfs.$$" "$folder/ipfs"
echo "$folder/ipfs"
