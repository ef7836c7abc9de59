# What the scripts of this folder share. Taken in by a line `. ./common.sh`, in whose place a host is sent this text.
# shellcheck shell=sh disable=SC2154 # topic and state are set by the script that takes this in
#
#   topic     set by the script: what every message starts with
#   ROOT      of the stack: absolute, or "~" / "~/..." for the home of the person this runs as; made absolute here
umask 022

say() { printf '%s: %s\n' "$topic" "$*" >&2; }

# fail STATUS LINE...: 1 failed, 2 bad parameter, 3 the person's files are in the way.
fail() {
  status=$1
  shift
  for line in "$@"; do say "$line"; done
  exit "$status"
}

# A text as one word of a shell, for the commands that messages suggest.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

have() { command -v "$1" >/dev/null; }

control_character() { [ "$(printf '%s' "$1" | tr -d '[:cntrl:]')" != "$1" ]; }

absolute_root() {
  case ${ROOT-} in
    '~') ROOT=${HOME:?} ;;
    '~'/*) ROOT=${HOME:?}/${ROOT#??} ;;
    /*) ;;
    *) fail 2 "root: '${ROOT-}' is neither absolute nor below ~/" ;;
  esac
}

# check_folder PARENT: FOLDER is a relative path that stays below ROOT/PARENT, which is there.
check_folder() {
  if control_character "${FOLDER-}"; then fail 2 "folder: it may not hold control characters"; fi
  case /${FOLDER-}/ in
    *//* | */./* | */../* | */.gpubox/* | /-*) fail 2 "folder: '${FOLDER-}' is not a folder below $1/" ;;
  esac
  [ -d "$ROOT/$1" ] || fail 1 "$ROOT/$1 is not there (a disk that is not mounted?)"
}

# state_folder PARENT: where a script keeps its lock and what it has half made for FOLDER.
state_folder() { printf '%s' "$ROOT/$1/.gpubox/$(printf '%s' "$FOLDER" | sed 's/%/%25/g; s|/|%2F|g')"; }

# The kernel's lock on a descriptor, by whichever program can ask for it. It is gone when the last process that holds the
# descriptor is gone, however that ended: nothing stale to detect. What a script starts holds it as well, so a download or an
# unpacking that outlives a killed run is waited for.
try_lock() {
  if have flock; then
    flock -n "$1"
  elif have perl; then
    perl -MFcntl=:flock -e 'open(my $lock, ">&=", $ARGV[0]) or die; exit !flock($lock, LOCK_EX | LOCK_NB)' "$1"
  elif have python3; then
    python3 -c 'import fcntl, sys; fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)' "$1" 2>/dev/null
  else
    fail 1 "needs flock, perl or python3 to take a lock" "  for instance:  sudo apt-get install util-linux"
  fi
}

# Takes the lock of $state on descriptor 9; one run at a time works on a folder.
lock() {
  mkdir -p "$state" || fail 1 "cannot write to $(dirname "$state")"
  exec 9>>"$state/lock"
  waited=0
  until try_lock 9; do
    if [ $((waited % 10)) -eq 0 ]; then say "waiting for the run that works on $FOLDER (pid $(cat "$state/lock"))"; fi
    sleep 1
    waited=$((waited + 1))
  done
  echo "$$" >"$state/lock"
}

# Sees to it that what was written below a path survives a power cut.
flush() { sync -f "$1" 2>/dev/null || sync; }
