# What the scripts of this folder share. Taken in by a line `. ./common.sh`, in whose place a host is sent this text.
# shellcheck shell=sh disable=SC2154 # topic and state are set by the script that takes this in
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

# What find -print0 prints, each name in one line.
lines_of_names() { tr '\n\000' '?\n'; }

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

control_character() { [ "$(printf '%s' "$1" | tr -d '[:cntrl:]')" != "$1" ]; }

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

# Whether a relative path leads to a folder of the person's below where it begins.
stays_below() {
  case /$1/ in
    *//* | */./* | */../* | */.gpubox/* | /-*) return 1 ;;
  esac
}

# check_folder PARENT: FOLDER is a relative path that stays below ROOT/PARENT, which is there.
check_folder() {
  if control_character "${FOLDER-}"; then fail 2 "folder: it may not hold control characters"; fi
  stays_below "${FOLDER-}" || fail 2 "folder: '${FOLDER-}' is not a folder below $1/"
  [ -d "$ROOT/$1" ] || fail 1 "$ROOT/$1 is not there (a disk that is not mounted?)"
}

# state_folder PARENT: where a script keeps its lock and what it has half made for FOLDER. It is on the disk that FOLDER is on, so
# that what is whole there gets its place by being renamed.
state_folder() { printf '%s' "$ROOT/$1/.gpubox/$(printf '%s' "$FOLDER" | sed 's/%/%25/g; s|/|%2F|g')"; }

# --- what a notebook can write to -------------------------------------------------------------------------------------
#
# Code in a notebook has the person's rights in ROOT/code and ROOT/data, and can put a link to any file of the person's in the
# place of any name there, at any time. It does not see the two .gpubox (components/workspace/container.ts), but a notebook of an
# earlier version did, and so does any other container that has these folders.

is_file() { [ -f "$1" ] && [ ! -L "$1" ]; }

# read_mark FILE: a small file of ours, as far as it still is one. A link, a pipe or a file without an end may be in its place, a
# pipe also from one moment to the next.
read_mark() { if is_file "$1"; then briefly 5 head -c 65536 "$1" | beginning 65536; fi; }

# strange FOLDER ARGUMENT...: the first of what find finds in FOLDER that gpubox cannot have made, as what is written to it lands
# elsewhere: anything but files and folders, or another user's. Whom FOLDER belongs to could replace all of it anyway.
strange() {
  # shellcheck disable=SC2012 # stat has no options that Linux and macOS share
  owner=$(ls -ldn "$1/" 2>/dev/null | awk '{ print $3 }')
  shift
  find "$@" \( ! -type f ! -type d -o ! -user "$(id -u)" ! -user "${owner:-0}" \) -print 2>/dev/null | head -n 1
}

# The first such thing in the place of $state.
intruder() {
  base=${state%/.gpubox/*}
  {
    strange "$base" "$base/.gpubox" -prune
    strange "$base/.gpubox" "$state" "$base"/.gpubox/%* -prune
    strange "$state" "$state" -mindepth 1 -maxdepth 1
  } | head -n 1
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

# enter NAME: goes to a folder of this one, unless it is a link. What counts is where we are once we are there: from then on
# names are relative, and what becomes of the way is nobody's concern.
enter() {
  inside=$(pwd -P)/$1
  cd -P "./$1" 2>/dev/null && [ "$(pwd -P)" = "$inside" ]
}

# enter_parent make|look: goes to the folder that FOLDER is in. Ends with 1 where it is not there and is not to be made.
enter_parent() {
  cd -P "${state%/.gpubox/*}" || fail 1 "cannot go to ${state%/.gpubox/*}"
  below=$FOLDER
  while [ "$below" != "${below#*/}" ]; do
    next=${below%%/*}
    below=${below#*/}
    if [ ! -e "$next" ] && [ ! -L "$next" ]; then
      [ "$1" = make ] || return 1
      mkdir "./$next" 2>/dev/null || :
    fi
    if ! enter "$next"; then
      fail 3 "$inside is a link, or no folder that can be gone to, and nothing is put behind it" \
        "  move it away and run again:  mv $(quoted "$inside") $(quoted "$inside.mine")" \
        "  or give this entry another folder"
    fi
  done
}

# rename FROM TO: as the system does it, so that TO is never a folder, or a link to one, that FROM goes into.
rename() {
  case $(mv --help 2>&1) in
    *-T*) mv -T "$1" "$2" ;;
    *) mv -h "$1" "$2" ;;
  esac
}

# --- one run at a time ------------------------------------------------------------------------------------------------

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
  own_states "${state%/.gpubox/*}"
  own_folder "$state" 700
  found=$(intruder)
  if [ -n "$found" ]; then refuse_intruder "$found"; fi
  # A link on the way to FOLDER is told before anything is fetched.
  rc=0
  (enter_parent look) || rc=$?
  if [ "$rc" -gt 1 ]; then exit "$rc"; fi
  exec 9>>"$state/lock"
  waited=0
  until try_lock 9; do
    if [ $((waited % 10)) -eq 0 ]; then say "waiting for the run that works on $FOLDER (pid $(cat "$state/lock"))"; fi
    sleep 1
    waited=$((waited + 1))
  done
  echo "$$" >"$state/lock"
}

# discard PATH...: what a killed run left may have folders that nobody may write to. Files are left as they are: they may be the
# objects of a checkout under another name.
discard() {
  find "$@" -type d -exec chmod u+rwx {} \; 2>/dev/null || :
  rm -rf "$@"
}

# Sees to it that what was written below a path survives a power cut.
flush() { sync -f "$1" 2>/dev/null || sync; }
