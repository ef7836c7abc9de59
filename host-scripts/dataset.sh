#!/bin/sh
# Puts one data set, checked against its SHA-256, into ROOT/data/FOLDER.
#
#   ROOT          absolute, or "~/..."; ROOT/data exists (prepare.sh)
#   URLS          http, https or file urls of the same file, one a line; tried in this order
#   FOLDER        relative to ROOT/data
#   SHA256        of the file. Where it is empty: what the first download had is recorded, shown and enforced from then on
#   SIZE          optional: bytes of the file
#   HEAD_MD5      optional: MD5 of the file's first MiB, as fastai's list of checks has it; counts where SHA256 is empty
#   FILES         optional: how many files are in the folder when it has been unpacked
#   NAME          optional: the file's name, where neither the server nor the url's last part tells it
#   KEEP_ARCHIVE  optional: "1" leaves the archive as FOLDER.archive/NAME beside the folder, from where it is also unpacked
#                 again, without a download, should the folder be deleted
#   CONNECTIONS   optional: of all data sets of ROOT that download at the same time, 16 by default
#   RETRY_DELAY   optional: seconds before the first retry of a download, 2 by default; grows with each
#   SPEED_LIMIT   optional: bytes a second below which, for SPEED_TIME seconds, a download is too slow; 1000 and 60 by default
#
# The proxies of the environment count: http_proxy, https_proxy, all_proxy and no_proxy, in small letters or capitals.
#
# zip, tar, tar.gz, tgz, tar.bz2, tar.xz and tar.zst are unpacked, by their names or, where those say nothing, by their bytes;
# anything else becomes FOLDER/NAME. An archive with a single folder at its top loses it: dogscats.zip, which holds
# dogscats/train, becomes FOLDER/train.
#
# stdout: the folder as an absolute path; stderr ends in "created|unchanged: ...".
# Exit: 0 done, 1 failed, 2 bad parameter, 3 the person's files are in the way.
#
# FOLDER/.gpubox.json says which file was unpacked there; a folder is never written to again. Where FOLDER came from a file
# with another hash, the new one lands beside it, in FOLDER-<first 8 digits of SHA256>.
# ROOT/data/.gpubox/<folder>/ holds the lock, the download, the half-unpacked archive, and in "seen" the recorded hash.
set -eu
topic="data ${FOLDER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/progress.sh
. ./progress.sh
# shellcheck source=host-scripts/seen.sh
. ./seen.sh
# shellcheck source=host-scripts/identify.sh
. ./identify.sh
# shellcheck source=host-scripts/download.sh
. ./download.sh
# shellcheck source=host-scripts/archivers.sh
. ./archivers.sh
# shellcheck source=host-scripts/unpack.sh
. ./unpack.sh

# --- parameters -------------------------------------------------------------------------------------------------------

say_lines() {
  while IFS= read -r line; do say "$line"; done <<END
$1
END
}

# What may be shown of a url: a signature is in its query.
shown() { printf '%s' "${1%%[?#]*}"; }

# number NAME VALUE WHAT: a whole number, or nothing.
number() {
  case $2 in
    *[!0-9]* | 0?*) fail 2 "$1: '$2' is not a number of $3" ;;
  esac
}

# digits NAME VALUE COUNT WHAT COMMAND: so many hexadecimal digits, or nothing.
digits() {
  case ${2:-0} in
    *[!0-9a-f]*) ;;
    *) if [ "${#2}" = "$3" ] || [ -z "$2" ]; then return; fi ;;
  esac
  fail 2 "$1: '$2' is not the $3 hexadecimal digits of $4" "  what it is for a file you trust:  $5"
}

absolute_root
if control_character "${SHA256-}${NAME-}${HEAD_MD5-}"; then
  fail 2 "sha256, head md5 and name may not hold control characters"
fi
check_folder data

URLS=$(printf '%s\n' "${URLS-}" | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d')
[ -n "$URLS" ] || fail 2 "url: it is empty"
if printf '%s' "$URLS" | grep -Eiqv '^(https?://|file:///)[^[:space:][:cntrl:]"\\]+$'; then
  fail 2 "url: '$(shown "$URLS")' is not an http, https or file url"
fi
if printf '%s' "$URLS" | grep -Eq '^[a-zA-Z]+://[^/?#]*@'; then
  fail 2 "url: it has credentials in it, which would end up in logs" "  write it without them"
fi
case ${SHA256=}${HEAD_MD5=} in
  *[A-F]*)
    SHA256=$(printf '%s' "$SHA256" | tr 'A-F' 'a-f')
    HEAD_MD5=$(printf '%s' "$HEAD_MD5" | tr 'A-F' 'a-f')
    ;;
esac
digits sha256 "$SHA256" 64 "a SHA-256" "sha256sum FILE"
digits "head md5" "$HEAD_MD5" 32 "an MD5" "head -c 1048576 FILE | md5sum"
number size "${SIZE=}" bytes
number files "${FILES=}" files
number connections "${CONNECTIONS:=16}" connections
[ "$CONNECTIONS" != 0 ] || fail 2 "connections: it takes at least one"
number "retry delay" "${RETRY_DELAY:=2}" seconds
number "speed limit" "${SPEED_LIMIT:=1000}" "bytes a second"
number "speed time" "${SPEED_TIME:=60}" seconds
[ "$SPEED_TIME" != 0 ] || fail 2 "speed time: it takes at least one second"
case ${KEEP_ARCHIVE:=0} in
  0 | 1) ;;
  *) fail 2 "keep archive: '$KEEP_ARCHIVE' is neither 0 nor 1" ;;
esac
url=${URLS%%
*}
given_name=${NAME-}
case $given_name in
  . | .. | .gpubox.json | */*) fail 2 "name: '$given_name' is not the name of a file" ;;
esac
NAME=${given_name:-$(url_name "$url")}
case $NAME in
  '' | . | .. | .gpubox.json)
    fail 2 "url: $(shown "$url") does not end in the name of a file" "  give its entry of data one:  name: NAME"
    ;;
esac
kind=$(kind_by_name "$NAME")

state=$(state_folder data)
record=$state/seen
unpacked=$state/unpacked

# --- what can be at the target ----------------------------------------------------------------------------------------

# "free", "theirs", or the hash of the file that was unpacked there.
occupant() {
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then
    echo free
  elif is_file "$1/.gpubox.json"; then
    found=$(read_mark "$1/.gpubox.json" | sed -n 's/.*"sha256": *"\([0-9a-fA-F]*\)".*/\1/p' | tr 'A-F' 'a-f')
    echo "${found:-theirs}"
  elif [ -d "$1" ] && [ ! -L "$1" ] && [ -z "$(ls -A "$1")" ]; then
    echo free
  else
    echo theirs
  fi
}

result() {
  if [ "$1" = unchanged ]; then say_again; fi
  say "$1: $target"
  printf '%s\n' "$target"
  exit 0
}

in_the_way() {
  say "$1 $2; it is left as it is"
  # Not where the person would write through a link, or wait at a pipe.
  if [ -n "$SHA256" ] && [ -z "$(find "$1/.gpubox.json" -prune ! -type f 2>/dev/null)" ]; then
    say "  if it is this data set already:  printf '{\"sha256\": \"%s\"}' $SHA256 >$(quoted "$1/.gpubox.json")"
  fi
  fail 3 "  otherwise move it away and run again:  mv $(quoted "$1") $(quoted "$1.mine")" \
    "  or give this entry of data: another folder"
}

target=$ROOT/data/$FOLDER
versioned() { printf '%s-%s' "$ROOT/data/$FOLDER" "$(printf '%s' "$SHA256" | cut -c 1-8)"; }

# Whether the file with this hash is unpacked already, and $target is where.
already_there() {
  target=$ROOT/data/$FOLDER
  [ -n "$SHA256" ] || return 1
  case $(occupant "$target") in
    "$SHA256") return 0 ;;
    free) return 1 ;;
  esac
  if [ "$(occupant "$(versioned)")" != "$SHA256" ]; then return 1; fi
  target=$(versioned)
}

# Sets $target: FOLDER, or the folder beside it for a new version of the file.
choose_target() {
  target=$ROOT/data/$FOLDER
  case $(occupant "$target") in
    free) return ;;
    theirs) in_the_way "$target" "was not made by gpubox" ;;
  esac
  # Only the hash tells whether it is another version.
  if [ -z "$SHA256" ]; then return; fi
  say "$target holds another version of the file and is kept; the new one goes to $(versioned)"
  target=$(versioned)
  if [ "$(occupant "$target")" != free ]; then in_the_way "$target" "is not the version it is named for"; fi
}

# --- from a url to the folder -----------------------------------------------------------------------------------------

require_programs() {
  if ! have sha256sum && ! have shasum && ! have python3; then fail 1 "needs sha256sum, shasum or python3"; fi
  if [ -n "$HEAD_MD5" ] && [ -z "$SHA256" ] && ! have md5sum && ! have md5 && ! have python3; then
    fail 1 "needs md5sum, md5 or python3 to check the file"
  fi
  case $kind in zip | tar) require_archivers ;; esac
}

# Why the download cannot be what was asked for, as far as that shows before its hash is known; nothing where it can.
first_look() {
  received=$(size "$file")
  if { [ "$kind" != plain ] || [ -z "$SHA256$HEAD_MD5" ]; } && is_page; then
    printf '%s\n' "it is an HTML page, not $NAME"
  elif [ "${SIZE:-$received}" != "$received" ]; then
    echo "it has $received bytes, not the $SIZE that are expected"
  elif [ -z "$SHA256" ] && [ "${bytes:-$received}" != "$received" ]; then
    echo "it has $received bytes, not the $bytes that the server announced"
  elif [ -z "$SHA256" ] && [ -n "$HEAD_MD5" ] && [ "$(head_md5)" != "$HEAD_MD5" ]; then
    echo "the MD5 of its first MiB is $(head_md5), not $HEAD_MD5 as expected"
  fi
}

# MD5 of the first MiB.
head_md5() {
  if have md5sum; then
    head -c 1048576 "$file" | md5sum
  elif have md5; then
    head -c 1048576 "$file" | md5 -q
  else
    python3 -c 'import hashlib, sys; print(hashlib.md5(open(sys.argv[1], "rb").read(1 << 20)).hexdigest())' "$file"
  fi | cut -c 1-32
}

# Unpacks $file while its hash is computed. Sets $accepted where both went well. A file that is not the one asked for is set
# aside: the person may want to look at it, and the next try starts afresh.
take() {
  accepted=
  identify
  doubt=$(first_look)
  rm -f "$state/problem" "$state/unpacked.files"
  (sha256 <"$file" >"$state/hash") &
  hasher=$!
  unpacking=0
  if [ -z "$doubt" ]; then
    # Not within a condition, where a shell goes on after errors.
    set +e
    (
      set -e
      trap unwatch EXIT
      if [ "$kind" = plain ]; then place_file; else unpack_archive; fi
    )
    unpacking=$?
    set -e
  fi
  watch "checking the hash of $(megabytes "$(size "$file")")"
  wait "$hasher" || fail 1 "cannot read $file"
  unwatch
  hasher=
  read -r actual <"$state/hash"

  if [ -n "$doubt" ] || [ "$actual" != "${SHA256:-$actual}" ]; then
    if [ -z "$doubt" ] && is_page; then doubt="it is an HTML page"; fi
    say "$origin is not the file that was asked for${doubt:+: $doubt}"
    set_aside
  elif [ "$unpacking" = 0 ]; then
    accepted=yes
  else
    discard "$unpacked"
    say_lines "$(cat "$state/problem")"
    # Another url would not help: it has the same file, or this disk is full.
    if [ -n "$SHA256" ] || [ "$unpacking" = "$HOST_PROBLEM" ]; then fail 1 "  the file is kept:  $file"; fi
    set_aside
  fi
}
hasher=

set_aside() {
  discard "$unpacked"
  rejected=$state/rejected-$(printf '%s' "$actual" | cut -c 1-8)
  mv "$file" "$rejected"
  if [ -n "$SHA256" ]; then say "  expected sha256 $SHA256"; fi
  say "  received sha256 $actual, $(megabytes "$(size "$rejected")"), kept as $rejected"
  say_record
}

obtain() {
  rm -f "$state"/rejected-*
  if [ -n "$SHA256" ]; then
    file=$state/$SHA256.file
    origin=$(shown "$url")
    key=$SHA256
    recall_answer
    # Kept from before the folder was deleted.
    if [ ! -e "$file" ]; then take_kept_archive; fi
    if [ -e "$file" ]; then
      take
      if [ -n "$accepted" ]; then return; fi
    fi
  fi
  while read -r url <&3; do
    origin=$(shown "$url")
    if ! download; then continue; fi
    take
    if [ -n "$accepted" ]; then return; fi
  done 3<<END
$URLS
END
  fail 1 "no url gave the file${SHA256:+ with sha256 $SHA256}; $ROOT/data/$FOLDER was not touched" \
    "  see for yourself:  curl -Lo $(quoted "$NAME") $(quoted "$origin") && sha256sum $(quoted "$NAME")"
}

# Where the archive of an earlier run was kept: a copy of it as $file, under the name it has there.
take_kept_archive() {
  kept=$(copy_kept_archive) || return 0
  origin=$target.archive/$kept
  sent_name=$kept
  say "found $origin"
}

# stdout: the name of the kept archive. Its name and its bytes are there for a notebook to change, while it is read as well; so what
# is hashed, looked into and unpacked is a copy that no notebook sees.
copy_kept_archive() (
  if ! enter_parent look || ! enter "${target##*/}.archive"; then exit 1; fi
  for kept in ./*; do
    if copy_archive "$kept" "$file.new" && [ "$(sha256 <"$file.new")" = "$SHA256" ]; then
      mv "$file.new" "$file"
      printf '%s' "${kept#./}"
      exit
    fi
    rm -f "$file.new"
  done
  exit 1
)

# copy_archive FROM TO: where it can be an archive of ours, and there is room.
copy_archive() {
  is_file "$1" || return 1
  # Under a name of ours no pipe can take its place.
  held=$2.held
  ln "$1" "$held" 2>/dev/null || held=$1
  copied=
  if is_file "$held" && can_be_archive "$held" && copy_file "$held" "$2" && can_be_archive "$2"; then copied=yes; fi
  rm -f "$2.held"
  [ -n "$copied" ]
}

# Where the disk can share what is the same, a copy takes no time and no room.
copy_file() {
  if cp --reflink=always "$1" "$2" 2>/dev/null; then return; fi
  rm -f "$2"
  [ "$(length "$1")" -le "$(free_bytes)" ] && cp "$1" "$2" 2>/dev/null
}

# shellcheck disable=SC2012 # stat has no options that Linux and macOS share
length() { ls -ln "$1" | awk 'NR == 1 { print $5 }'; }

# Whether it has the size that is known; else whether most of it is on the disk: holes take hours to read, and no room.
can_be_archive() {
  if [ -n "$SIZE" ]; then
    [ "$(length "$1")" = "$SIZE" ]
  else
    [ "$(length "$1")" -le $(($(du -k "$1" | awk '{ print $1 }') * 20480 + 1048576)) ]
  fi
}

# Before the folder is put into place: a run that was stopped in between finds the archive.
keep_archive() (
  kept=$target.archive/$NAME
  if [ "$origin" = "$kept" ]; then exit; fi
  mkdir "$name.archive" 2>/dev/null || :
  enter "${name#./}.archive" ||
    fail 3 "$target.archive is a link, or no folder that can be gone to; it is left as it is" \
      "  move it away and run again:  mv $(quoted "$target.archive") $(quoted "$target.archive.mine")"
  if [ -e "./$NAME" ] || [ -L "./$NAME" ]; then
    say "$kept is there already and is left as it is"
  else
    rename "$file" "./$NAME"
    say "the archive is kept: $kept"
  fi
)

clean_up() {
  discard "$unpacked"
  rm -f "$state"/*.file "$state"/*.file.* "$state"/*.part "$state"/*.parts "$state"/*.parts.aria2 "$state"/names "$state"/details \
    "$state"/listing "$state"/*.answer "$state"/*.answer.new "$state"/stopped \
    "$state"/*.log "$state"/hash "$state"/problem "$state"/unpacked.*
}

put_into_place() {
  read -r files <"$state/unpacked.files"
  tree=$(single_folder)
  enter_parent make
  name=./${target##*/}
  if [ "$KEEP_ARCHIVE" = 1 ] && [ "$kind" != plain ]; then keep_archive; fi
  # Last of all: what changes after the marker counts as the person's, and to lose its second name is a change to a file.
  rm -f "$file"
  printf '{"url": "%s", "sha256": "%s", "files": %s}\n' "$(shown "$url")" "$SHA256" "$files" >"$tree/.gpubox.json"
  watch "writing to the disk"
  flush "$tree"
  unwatch
  if [ -d "$name" ] && [ ! -L "$name" ]; then rmdir "$name" || in_the_way "$target" "was filled in the meantime"; fi
  if [ -e "$name" ] || [ -L "$name" ]; then in_the_way "$target" "was made in the meantime"; fi
  rename "$tree" "$name"
  flush "$name"
}

# Without the lock: what is in place is complete, and is never changed. What clean_up removes last tells whether a run was stopped
# in it.
recall
if already_there && [ ! -e "$state/unpacked.files" ]; then result unchanged; fi

require_programs
settle_proxies
lock
# Logs of the programs below show urls with all there is in them.
chmod 700 "$state"
recall
if already_there; then
  clean_up
  result unchanged
fi
choose_target
discard "$unpacked"
trap 'unwatch; if [ -n "$hasher" ]; then kill "$hasher" 2>/dev/null || :; fi' EXIT
obtain
if [ -z "$SHA256" ]; then
  SHA256=$actual
  remember
  if already_there; then
    clean_up
    result unchanged
  fi
  choose_target
fi
put_into_place
clean_up
result created
