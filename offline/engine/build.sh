#!/bin/sh
# Builds the Pulumi CLI from its Go module, at the version that go.mod pins, where it cannot be downloaded.
# Takes minutes the first time, seconds once Go's build cache is warm. OUTPUT is replaced in one step and only when
# the build was good, so it is safe to kill this at any moment and to run it twice at once.
#
#   build.sh OUTPUT
set -eu

fail() {
  printf 'engine: %s\n' "$*" >&2
  exit 1
}

[ $# -eq 1 ] || fail "usage: build.sh OUTPUT (the file to write)"
[ ! -d "$1" ] || fail "$1 is a folder; name the file to write, for example $1/pulumi"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p -- "$(dirname -- "$1")"
folder=$(CDPATH='' cd -- "$(dirname -- "$1")" && pwd)
output=$folder/$(basename -- "$1")

needed=$(sed -n 's/^go //p' "$here/go.mod")
command -v go >/dev/null || fail "the Go compiler is not on PATH; install Go $needed or newer, see go.dev/doc/install"
# Asked for the local one: another Go would be fetched on the way otherwise.
have=$(cd / && GOTOOLCHAIN=local go env GOVERSION)
minor=${have#go1.}
minor=${minor%%[!0-9]*}
# From 1.21 on, Go fetches the release that go.mod asks for by itself.
[ "${minor:-0}" -ge 21 ] || fail "$(command -v go) is $have, too old; install Go $needed or newer, see go.dev/doc/install"

module=github.com/pulumi/pulumi
cd "$here"
version=$(go list -m -f '{{.Version}}' "$module/pkg/v3") || fail "cannot read go.mod with $have; see the message above"

# What a killed build left behind; nothing builds for two hours.
find "$folder" -maxdepth 1 -name '.pulumi-build.*' -mmin +120 -exec rm -f {} +
temporary=$(mktemp "$folder/.pulumi-build.XXXXXX")
build=
trap 'rm -f -- "$temporary"' EXIT
trap '[ -z "$build" ] || { kill "$build"; wait "$build"; } || :; exit 130' HUP INT TERM

# The same program in less time: no debugging information, which -s and -w leave out anyway, and no inlining in
# libopenapi, which only `pulumi cloud` uses and whose generics take a quarter of the whole build otherwise.
go build -buildvcs=false -trimpath -o "$temporary" \
  -gcflags=all=-dwarf=false -gcflags=github.com/pb33f/...="-l -dwarf=false" \
  -ldflags "-s -w -X $module/sdk/v3/go/common/version.Version=$version" "$module/pkg/v3/cmd/pulumi" &
# In the background, because a shell hears of signals only between its commands, and this one takes minutes.
build=$!
wait "$build" ||
  fail "building $module $version failed; Go's message is above (modules come from $(go env GOPROXY))"
chmod 755 "$temporary"
mv -f -- "$temporary" "$output"
