# Whose files a notebook may use beside the person's own: the groups that it is given. Taken in by inspect.sh; this machine's are
# asked for by components/host/local.ts.
# shellcheck shell=sh
#
#   DOCKER_HOST  optional, as the docker command reads it
#
# Groups of people share files. Those of a machine give power over it: who is in them starts containers and virtual machines, reads
# disks, passwords and logs, or becomes root, and where a file or a socket of theirs is mounted, code in a notebook would as well.
# So none is given that is
#   - the system's own, which packages add to at any time: those have numbers below 1000, but for "users", where everybody is
#   - one of these, which somebody may have made by hand with another number
#   - the owner of the Docker daemon's socket, whatever it is called
#   - what the kernel shows where it knows no group
POWERFUL='root wheel sudo admin adm operator staff disk shadow kmem tty video systemd-journal docker podman lxd incus incus-admin libvirt
kvm vboxusers microk8s'
NOBODY='65534 4294967294'

# shared_groups: their numbers, one a line, in order. By the user database: a login has the groups of when it began, and what a
# container is made with must not depend on which login asks.
shared_groups() {
  if ! { me=$(id -un 2>/dev/null) && gids=$(id -G "$me" 2>/dev/null) && primary=$(id -g "$me"); }; then
    gids=$(id -G)
    primary=$(id -g)
  fi
  daemons=$(
    for socket in /var/run/docker.sock "${DOCKER_HOST-}"; do
      socket=${socket#unix://}
      # shellcheck disable=SC2012 # stat has no options that Linux and macOS share
      if [ -S "$socket" ]; then ls -ldnL "$socket" | awk '{ print $4 }'; fi
    done
  )
  # shellcheck disable=SC2086 # several words
  { getent group $gids 2>/dev/null || cat /etc/group; } | LC_ALL=C awk -F: -v gids="$gids" -v powerful="$POWERFUL" \
    -v others="$primary $NOBODY $daemons" '
    function words(text, set,   list, n) { n = split(text, list, "[ \n]+"); while (n > 0) set[list[n--]] = 1 }
    BEGIN { words(powerful, bad); words(others, not) }
    $1 in bad { not[$3] = 1 }
    $1 == "users" { people[$3] = 1 }
    END { words(gids, all); for (gid in all) if (!(gid in not) && (gid + 0 >= 1000 || gid in people)) print gid }' | sort -n
}
