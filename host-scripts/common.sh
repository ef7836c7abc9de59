# What the scripts of this folder share. Taken in by a line `. ./common.sh`, in whose place a host is sent this text.
# shellcheck shell=sh disable=SC2154 # topic is set by the script that takes this in
#
#   topic     set by the script: what every message starts with
#   ROOT      of the stack: absolute, or "~" / "~/..." for the home of the person this runs as; made absolute here
umask 022

# legible: what was written by others (names, logs, answers), as a terminal can be given it. Each control character becomes a "?", as
# ls shows it, and so does what changes the direction of writing; what is too long is cut. They are not taken out: what is around one
# could be the halves of another.
legible() {
  LC_ALL=C tr '\011\000-\010\013-\037\177' ' ?' | LC_ALL=C awk '
    { gsub(/\302[\200-\237]|\342\200[\216\217\250-\256]|\342\201[\246-\251]/, "?") }
    length($0) > 2000 { $0 = substr($0, 1, 2000); sub(/[\300-\377]?[\200-\277]*$/, ""); $0 = $0 "..." }
    { print }'
}

# A line on stderr. Nothing that is in it makes another line.
say() { printf '%s: %s' "$topic" "$*" | tr '\n' ' ' | legible >&2; }

# Lines of others on standard input, such as names of files: indented, so that none looks like a line of ours.
show_lines() { legible | sed 's/^/  /' >&2; }

# fail STATUS LINE...: 1 failed, 2 bad parameter, 3 the person's files are in the way.
fail() {
  status=$1
  shift
  for line in "$@"; do say "$line"; done
  exit "$status"
}

# A text as one word of a shell, for the commands that messages suggest.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# Who this runs as, also where the machine knows no name for them.
person() { if name=$(id -un 2>/dev/null); then printf '%s' "$name"; else printf 'user %s' "$(id -u)"; fi; }

have() { command -v "$1" >/dev/null; }

# briefly SECONDS PROGRAM ARGUMENT...: whatever it waits for.
briefly() { if have timeout; then timeout "$@"; else shift && "$@"; fi; }

# beginning BYTES: of standard input, which may have no end.
beginning() { head -c "$1" | tr -d '\000'; }

# enter_container ARGUMENT...: runs /bin/sh with these arguments in CONTAINER for TIMEOUT seconds at most, on what the script's own
# `program` prints. Sets $printed, which is anybody's, and $status: 124 where it did not end in time, and anything where what it printed
# had no end, as then the status, which is its last line, is cut off.
enter_container() {
  printed=$({
    status=0
    program | briefly "$TIMEOUT" docker exec -i "$CONTAINER" /bin/sh "$@" 2>&1 || status=$?
    printf '\n%s' "$status" 2>/dev/null
  } | beginning 65536)
  status=${printed##*
}
  printed=${printed%
*}
}

# Standard input as a JSON string.
json_string() {
  tr '\t\r' '  ' | tr -d '\000-\011\013-\037\177' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' |
    awk 'BEGIN { printf "\"" } { printf "%s%s", sep, $0; sep = "\\n" } END { printf "\"" }'
}

# Parameters that several scripts take: CONTAINER and VOLUME, names as Docker takes them, and TIMEOUT, in seconds.
is_name() { case $1 in '' | -* | *[!A-Za-z0-9_.-]*) return 1 ;; esac }
check_container() { is_name "${CONTAINER-}" || fail 2 "container: '${CONTAINER-}' is not a name"; }
check_volume() { is_name "${VOLUME-}" || fail 2 "VOLUME: '${VOLUME-}' is not a name"; }
check_timeout() {
  case ${TIMEOUT-} in
    '' | *[!0-9]*) fail 2 "timeout: '${TIMEOUT-}' is not a number of seconds" ;;
  esac
}

absolute_root() {
  case ${ROOT-} in
    '~' | '~'/*)
      if [ -z "${HOME-}" ]; then
        fail 2 "root: '$ROOT' begins at your home folder, and $(person) has none here (HOME is not set): give it as an absolute path"
      fi
      ROOT=$HOME${ROOT#?}
      ;;
    /*) ;;
    *) fail 2 "root: '${ROOT-}' is neither absolute nor below ~/" ;;
  esac
}

# --- what a notebook can write to -------------------------------------------------------------------------------------
#
# Code in a notebook has the person's rights in ROOT/code and ROOT/data, and can put a link to any file of the person's in the
# place of any name there, at any time. It does not see the two .gpubox (components/workspace/container.ts), but a notebook of an
# earlier version did, and so does any other container that has these folders.

# strange FOLDER ARGUMENT...: the first of what find finds in FOLDER that gpubox cannot have made, as what is written to it lands
# elsewhere: anything but files and folders, or another user's. Whom FOLDER belongs to could replace all of it anyway.
strange() {
  # shellcheck disable=SC2012 # stat has no options that Linux and macOS share
  owner=$(ls -ldn "$1/" 2>/dev/null | awk '{ print $3 }')
  shift
  find "$@" \( ! -type f ! -type d -o ! -user "$(id -u)" ! -user "${owner:-0}" \) -print 2>/dev/null | head -n 1
}

# The command that gets it out of the way. What another user made, the container runtime as root perhaps, is only taken over: to
# remove a folder would show a running notebook what takes its place.
intruder_command() {
  if [ -n "$(find "$1" -prune ! -type l ! -user "$(id -u)")" ]; then
    printf 'sudo chown -R %s:%s %s' "$(id -u)" "$(id -g)" "$(quoted "$1")"
  else
    printf 'rm -rf %s' "$(quoted "$1")"
  fi
}

refuse_intruder() {
  fail 3 "$1 was not put there by gpubox (a link, or another user's), and is left as it is" \
    "  look at it:  ls -ld $(quoted "$1")" \
    "  and mend it:  $(intruder_command "$1")"
}

# own_folder FOLDER MODE: makes a folder that gpubox keeps its things in, or sees that it is one.
own_folder() {
  if [ ! -L "$1" ]; then mkdir -m "$2" "$1" 2>/dev/null || :; fi
  if [ -n "$(strange "$(dirname "$1")" "$1" -prune)" ] || [ -f "$1" ]; then refuse_intruder "$1"; fi
  [ -d "$1" ] || fail 1 "cannot make $1: $(person) may not write to $(dirname "$1")"
  # Those of earlier versions may be open to others.
  chmod "$2" "$1" 2>/dev/null || :
}

# own_states FOLDER: its .gpubox. What notebooks see in its place has its mode with some container runtimes, and is to be looked into.
own_states() { own_folder "$1/.gpubox" 755; }
