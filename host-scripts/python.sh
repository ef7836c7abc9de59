# The Python of this machine. Taken in by a line `. ./python.sh`, in whose place a host is sent this text.
# shellcheck shell=sh

# Whether there is a program, and not what macOS has in its place until its command line tools are installed: a window opens then.
has_tool() {
  found=$(command -v "$1" 2>/dev/null) || return 1
  [ "$found" != "/usr/bin/$1" ] || [ ! -e /usr/bin/xcode-select ] || xcode-select -p >/dev/null 2>&1
}

# stdout: its version, such as 3.11.2; nothing where there is none.
python_version() {
  if has_tool python3; then python3 -I -S -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; fi
}
