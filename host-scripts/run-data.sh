# Runs a command of gpubox_data/ (docs/internals/data.md) with the machine's own Python. What a host is sent sets these before this text:
# shellcheck shell=sh disable=SC2154
#
#   command   name of the module
#   loader    text of gpubox_data/load.py
#   sources   texts of the modules that it takes
set -u

# macOS without its command line tools has a python3 that opens a window in place of running anything.
has_python() {
  command -v python3 >/dev/null 2>&1 || return 1
  [ "$(command -v python3)" != /usr/bin/python3 ] || [ ! -e /usr/bin/xcode-select ] || xcode-select -p >/dev/null 2>&1
}

if ! has_python; then
  echo "$command: python3 is not installed on this machine" >&2
  echo "$command:   for instance:  sudo apt-get install python3" >&2
  exit 1
fi
printf '%s' "$sources" | python3 -I -S -c "$loader" "$command"
