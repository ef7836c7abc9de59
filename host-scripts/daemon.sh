# The Docker daemon that something was put on. Taken in by a line `. ./daemon.sh`, in whose place a host is sent this text.
# shellcheck shell=sh
#
#   DAEMON   identity of that daemon

# Ends well where there is nothing to do on this machine's daemon: it is another one, or gone. What stays there is named by $1.
require_daemon() {
  if ! have docker; then
    say "docker is not installed here any more; $1"
    exit 0
  fi
  if ! found=$(docker info --format '{{.ID}}' 2>&1) || [ -z "$found" ]; then
    fail 1 "the Docker daemon does not answer, so nothing was removed:" "  $(printf '%s' "$found" | tail -n 1)" \
      "  start it and run the same again:  sudo systemctl start docker"
  fi
  if [ "$found" != "$DAEMON" ]; then
    say "this is another Docker daemon ($found) than the one the stack was put on ($DAEMON); $1"
    exit 0
  fi
}
