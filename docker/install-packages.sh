#!/bin/sh
# Installs packages while the image is built.
#
#   install-packages.sh locked LOCK   all that a lock names, with its hashes
#   install-packages.sh debian        APT_PACKAGES, by names
#   install-packages.sh added LOCK    PYTHON_PACKAGES, a requirement a line; what the lock names stays at its version
#
#   PIP_INDEX_URL   optional: a package index instead of PyPI
set -eu

say() { printf 'gpubox: %s\n' "$*" >&2; }

install() {
  UV_CACHE_DIR=/var/cache/uv UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_DEFAULT_INDEX=${PIP_INDEX_URL:-https://pypi.org/simple} \
    /opt/uv/bin/uv pip install --system --break-system-packages --python /usr/bin/python3 "$@"
}

case $1 in
locked)
  install --require-hashes -r "$2"
  chmod a-w /usr/local/lib/python3.*/dist-packages
  ;;
debian)
  [ -n "${APT_PACKAGES-}" ] || exit 0
  apt-get update
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $APT_PACKAGES || {
    say "the packages of \`image.apt\` cannot be installed: Debian's reason is above"
    exit 1
  }
  ;;
added)
  [ -n "${PYTHON_PACKAGES-}" ] || exit 0
  printf '%s\n' "$PYTHON_PACKAGES" >/tmp/added.txt
  install --constraints "$2" -r /tmp/added.txt || {
    say "the packages of \`image.packages\` or \`image.requirements\` cannot be installed beside the image's own: the reason is above"
    exit 1
  }
  rm /tmp/added.txt
  ;;
esac
