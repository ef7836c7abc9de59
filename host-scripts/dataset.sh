#!/bin/sh
# Puts one data set, checked against its SHA-256, into ROOT/data/FOLDER.
#
#   ROOT         absolute, or "~/..."; ROOT/data exists (prepare.sh)
#   URLS         http, https or file urls of the same file, one a line; tried in this order
#   SHA256       of the file
#   FOLDER       relative to ROOT/data
#   NAME         optional: the file's name, where the url's last part does not tell it
#   RETRY_DELAY  optional: seconds before the first retry of a download, 2 by default; grows with each
#
# zip, tar, tar.gz, tgz, tar.bz2, tar.xz and tar.zst are unpacked; anything else becomes FOLDER/NAME. An archive with a
# single folder at its top loses it: dogscats.zip, which holds dogscats/train, becomes FOLDER/train.
#
# stdout: the folder as an absolute path; stderr ends in "created|unchanged: ...".
# Exit: 0 done, 1 failed, 2 bad parameter, 3 the person's files are in the way.
#
# FOLDER/.gpubox.json says which file was unpacked there; a folder is never written to again. Where FOLDER came from a file
# with another hash, the new one lands beside it, in FOLDER-<first 8 digits of SHA256>.
# ROOT/data/.gpubox/<folder>/ holds the lock, the download and the half-unpacked archive.
set -eu
topic="data ${FOLDER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

megabytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f MB", bytes / 1000000 }'; }

# --- parameters -------------------------------------------------------------------------------------------------------

# What may be shown of a url: a signature is in its query.
shown() { printf '%s' "${1%%[?#]*}"; }

absolute_root
if control_character "${SHA256-}${NAME-}"; then fail 2 "sha256 and name may not hold control characters"; fi
check_folder data

URLS=$(printf '%s\n' "${URLS-}" | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d')
[ -n "$URLS" ] || fail 2 "url: it is empty"
if printf '%s' "$URLS" | grep -Eiqv '^(https?://|file:///)[^[:space:][:cntrl:]"\\]+$'; then
  fail 2 "url: '$(shown "$URLS")' is not an http, https or file url"
fi
if printf '%s' "$URLS" | grep -Eq '^[a-zA-Z]+://[^/?#]*@'; then
  fail 2 "url: it has credentials in it, which would end up in logs" "  write it without them"
fi
SHA256=$(printf '%s' "${SHA256-}" | tr 'A-F' 'a-f')
if ! printf '%s' "$SHA256" | grep -Eq '^[0-9a-f]{64}$'; then
  fail 2 "sha256: '$SHA256' is not the 64 hexadecimal digits of a SHA-256" \
    "  what it is for a file you trust:  sha256sum FILE"
fi
url=$(printf '%s\n' "$URLS" | head -n 1)
if [ -z "${NAME-}" ]; then
  NAME=$(shown "$url")
  NAME=${NAME##*/}
fi
case $NAME in
  '' | . | .. | .gpubox.json | */*) fail 2 "url: $(shown "$url") does not end in the name of a file" ;;
esac
case ${RETRY_DELAY=2} in
  '' | *[!0-9]*) fail 2 "retry delay: '$RETRY_DELAY' is not a number of seconds" ;;
esac

case $(printf '%s' "$NAME" | tr '[:upper:]' '[:lower:]') in
  *.zip) kind=zip ;;
  *.tar | *.tar.gz | *.tgz | *.tar.bz2 | *.tar.xz | *.tar.zst) kind=tar ;;
  *) kind=plain ;;
esac

# --- which programs do it ---------------------------------------------------------------------------------------------

if have sha256sum; then
  sha256() { sha256sum <"$1" | cut -c 1-64; }
elif have shasum; then
  sha256() { shasum -a 256 <"$1" | cut -c 1-64; }
elif have python3; then
  sha256() { 
    python3 -c '
import hashlib, sys
digest = hashlib.sha256()
for block in iter(lambda: sys.stdin.buffer.read(1 << 20), b""):
    digest.update(block)
print(digest.hexdigest())
' <"$1"
  }
else
  fail 1 "needs sha256sum, shasum or python3"
fi

# The same program lists and unpacks an archive, so that what was checked is what gets written.
if [ "$kind" = plain ]; then
  archiver=none
elif have bsdtar; then
  archiver=tar tar=bsdtar
elif have tar && tar --version 2>/dev/null | grep -q bsdtar; then
  archiver=tar tar=tar
elif [ "$kind" = tar ] && have tar && tar --version 2>/dev/null | grep -q 'GNU tar'; then
  archiver=tar tar=tar
elif have python3; then
  archiver=python
elif [ "$kind" = zip ] && have unzip; then
  archiver=unzip
else
  fail 1 "needs bsdtar, python3$([ "$kind" = zip ] && echo ' or unzip') to unpack $NAME" \
    "  for instance:  sudo apt-get install libarchive-tools"
fi

# bsdtar on macOS would turn the ._ files of an archive into attributes instead of files.
export COPYFILE_DISABLE=1

# Names in an archive are UTF-8; without a locale that says so bsdtar and unzip mangle them.
for locale in C.UTF-8 C.utf8 en_US.UTF-8; do
  if [ "$(LC_ALL=$locale locale charmap 2>/dev/null)" = UTF-8 ]; then
    export LC_ALL=$locale
    break
  fi
done

state=$(state_folder data)
part=$state/$SHA256.part
unpacked=$state/unpacked

# --- what can be at the target ----------------------------------------------------------------------------------------

# "free", "theirs", or the hash of the file that was unpacked there.
occupant() {
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then
    echo free
  elif [ -f "$1/.gpubox.json" ]; then
    found=$(sed -n 's/.*"sha256": *"\([0-9a-fA-F]*\)".*/\1/p' "$1/.gpubox.json" | tr 'A-F' 'a-f')
    echo "${found:-theirs}"
  elif [ -d "$1" ] && [ ! -L "$1" ] && [ -z "$(ls -A "$1")" ]; then
    echo free
  else
    echo theirs
  fi
}

result() {
  say "$1: $target"
  printf '%s\n' "$target"
  exit 0
}

in_the_way() {
  fail 3 "$1 $2; it is left as it is" \
    "  if it is this data set already:  printf '{\"sha256\": \"%s\"}' $SHA256 >$(quoted "$1/.gpubox.json")" \
    "  otherwise move it away and run again:  mv $(quoted "$1") $(quoted "$1.mine")" \
    "  or give this entry of data: another folder"
}

# Sets $target: FOLDER, or the folder beside it for a new version of the file.
choose_target() {
  target=$ROOT/data/$FOLDER
  versioned=$target-$(printf '%s' "$SHA256" | cut -c 1-8)
  if [ "$(occupant "$target")" = "$SHA256" ]; then result unchanged; fi
  if [ "$(occupant "$versioned")" = "$SHA256" ]; then
    target=$versioned
    result unchanged
  fi
  case $(occupant "$target") in
    free) return ;;
    theirs) in_the_way "$target" "was not made by gpubox" ;;
  esac
  say "$target holds another version of the file and is kept; the new one goes to $versioned"
  target=$versioned
  if [ "$(occupant "$target")" != free ]; then in_the_way "$target" "is not the version it is named for"; fi
}

# --- download ---------------------------------------------------------------------------------------------------------

size() { if [ -e "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi; }
# The column before the percentage: device names and mount points may hold blanks.
free_bytes() {
  df -Pk "$state" | awk 'NR > 1 { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { printf "%.0f\n", $(i - 1) * 1024; exit } }'
}
free_inodes() {
  df -Pi "$state" 2>/dev/null | awk 'NR > 1 { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { print $(i - 1); exit } }'
}

require_space() {
  free=$(free_bytes)
  if [ "$1" -gt "$free" ]; then
    fail 1 "$2 needs $(megabytes "$1") in $ROOT/data, and $(megabytes "$free") are free ($(shown "$url"))" \
      "  what takes the room:  du -xsh $(quoted "$ROOT")/*"
  fi
}

choose_fetcher() {
  if have curl; then
    fetcher=curl
  else
    case $url in
      *%*) ;;
      [fF]*) fetcher=copy && return ;;
    esac
    have wget || fail 1 "needs curl or wget to download $(shown "$url")" "  for instance:  sudo apt-get install curl"
    fetcher=wget
  fi
}

# Bytes of the file at $url, empty where the server does not say.
remote_size() {
  case $fetcher in
    curl) curl -fsSIL --connect-timeout 10 --max-time 30 "$url" 2>/dev/null || : ;;
    wget) wget -q -S --spider --tries=1 --timeout=10 "$url" 2>&1 || : ;;
    copy) printf 'Content-Length: %s\n' "$(size "${url#*://}")" ;;
  esac | tr -d '\r' | awk 'tolower($1) == "content-length:" { bytes = $2 } END { if (bytes ~ /^[0-9]+$/) print bytes }'
}

# One request, which goes on where $part ends. Sets $rc to the exit status of the program, $code to the HTTP status (000 where
# there is none) and $why to the program's last words.
request() {
  rc=0 code=000
  case $fetcher in
    curl)
      code=$(curl -fsSL -C - -o "$part" -w '%{http_code}' --proto '=http,https,file' --proto-redir '=http,https' \
        --connect-timeout 20 --speed-limit 1000 --speed-time 60 "$url" 2>"$state/fetch.log") || rc=$?
      ;;
    wget)
      wget -nv -S -c -O "$part" --tries=1 --timeout=60 "$url" 2>"$state/fetch.log" || rc=$?
      status=$(sed -n 's|^ *HTTP/[0-9.]* \([0-9][0-9][0-9]\).*|\1|p' "$state/fetch.log" | tail -n 1)
      code=${status:-$code}
      ;;
    copy) cp "${url#*://}" "$part" 2>"$state/fetch.log" || rc=$? ;;
  esac
  why=$(tail -n 1 "$state/fetch.log")
}

# Brings the file at $url into $part. Each try goes on from the last one's end; five in a row without a byte won give up.
download() {
  choose_fetcher
  bytes=$(remote_size)
  if [ -n "$bytes" ]; then require_space $((bytes - $(size "$part"))) "the download"; fi
  say "downloading $(shown "$url")${bytes:+ ($(megabytes "$bytes"))}"
  tries=0
  furthest=$(size "$part")
  while :; do
    request
    case $fetcher:$rc:$code in
      *:0:*) return 0 ;;
      # Asked for what comes after the last byte: the file is complete, or it is another one. The hash tells.
      *:416) return 0 ;;
      curl:23:* | wget:3:*)
        rm -f "$part"
        fail 1 "cannot write the download of $(shown "$url") to $state: $why" \
          "  $(megabytes "$(free_bytes)") are free there; what takes the room:  du -xsh $(quoted "$ROOT")/*"
        ;;
      # The server cannot go on in the middle.
      curl:33:*) rm -f "$part" ;;
      *:408 | *:425 | *:429) ;;
      # Asking again for what is not there, or not an address at all, gives the same answer.
      *:4?? | curl:1:* | curl:3:* | curl:37:* | copy:*) return 1 ;;
    esac
    now=$(size "$part")
    if [ "$now" -gt "$furthest" ]; then
      furthest=$now
      tries=0
    fi
    tries=$((tries + 1))
    if [ "$tries" -ge 5 ]; then return 1; fi
    say "no more after $(megabytes "$now") ($why); trying again"
    sleep $((RETRY_DELAY * tries))
  done
}

report_progress() {
  # Looks for the shell each second: what outlives it would keep its caller waiting for the end of stderr.
  (seconds=0
    while sleep 1 >/dev/null 2>&1 && kill -0 "$$" 2>/dev/null; do
      seconds=$((seconds + 1))
      if [ $((seconds % 10)) -eq 0 ]; then say "$(megabytes "$(size "$part")") so far"; fi
    done) 9>&- >/dev/null &
  reporter=$!
}
reporter=
stop_reporting() {
  if [ -n "$reporter" ]; then
    kill "$reporter" 2>/dev/null || :
    wait "$reporter" 2>/dev/null || :
    reporter=
  fi
}
trap stop_reporting EXIT

# Sets aside what is not the file that was asked for: the person may want to look at it, and the next try starts afresh.
verified() {
  say "checking the hash of $(megabytes "$(size "$part")")"
  actual=$(sha256 "$part")
  [ "$actual" != "$SHA256" ] || return 0
  rejected=$state/rejected-$(printf '%s' "$actual" | cut -c 1-8)
  mv "$part" "$rejected"
  say "$(shown "$url") is not the file that was asked for:"
  say "  expected sha256 $SHA256"
  say "  received sha256 $actual, $(megabytes "$(size "$rejected")"), kept as $rejected"
  return 1
}

obtain() {
  if [ -e "$part" ] && [ "$(sha256 "$part")" = "$SHA256" ]; then return; fi
  while read -r url <&3; do
    report_progress
    fetched=0
    download || fetched=$?
    stop_reporting
    if [ "$fetched" != 0 ]; then
      case $code in
        000) say "cannot download $(shown "$url"): ${why:-$fetcher ended with $rc}" ;;
        *) say "cannot download $(shown "$url"): the server answers $code" ;;
      esac
    elif [ ! -e "$part" ]; then
      # curl makes no file of an empty answer.
      say "$(shown "$url") is empty"
    elif verified; then
      return
    fi
  done 3<<END
$URLS
END
  fail 1 "no url gave the file with sha256 $SHA256; $target was not touched" \
    "  see for yourself:  curl -LO $(quoted "$(shown "$url")") && sha256sum $(quoted "$NAME")"
}

# --- unpacking --------------------------------------------------------------------------------------------------------

# list ARCHIVE: a line for each entry, "kind<tab>bytes<tab>path<tab>link target"; kinds as in ls -l, h for a hard link, ? for
# what no data set needs.
# unpack ARCHIVE FOLDER: with the person's ownership and umask, whatever the archive says.
PYTHON='
import os, stat, sys, tarfile, zipfile

action, archive = sys.argv[1:3]

def entry(kind, size, path, target=""):
    if any(ord(c) < 32 or ord(c) == 127 for c in path + target):
        kind, path, target = "?", ascii(path), ""
    sys.stdout.buffer.write(os.fsencode("\t".join([kind, str(size), path, target]) + "\n"))

def zip_link(info):
    return info.create_system == 3 and stat.S_ISLNK(info.external_attr >> 16)

if zipfile.is_zipfile(archive):
    with zipfile.ZipFile(archive) as z:
        for info in z.infolist():
            if action == "list":
                kind = "l" if zip_link(info) else "d" if info.is_dir() else "-"
                target = z.read(info).decode("utf-8", "surrogateescape") if kind == "l" else ""
                entry(kind, info.file_size, info.filename, target)
                continue
            path = z.extract(info, sys.argv[3])
            if zip_link(info):
                target = z.read(info).decode("utf-8", "surrogateescape")
                os.remove(path)
                os.symlink(target, path)
            elif not info.is_dir() and info.external_attr >> 16 & 0o111:
                os.chmod(path, 0o755)
else:
    with tarfile.open(archive) as t:
        if action == "list":
            for m in t:
                kind = "d" if m.isdir() else "l" if m.issym() else "h" if m.islnk() else "-" if m.isfile() else "?"
                entry(kind, m.size, m.name, m.linkname)
        else:
            members = []
            for m in t:
                m.uid, m.gid, m.uname, m.gname = os.getuid(), os.getgid(), "", ""
                m.mode = 0o755 if m.isdir() or m.mode & 0o111 else 0o644
                members.append(m)
            t.extractall(sys.argv[3], members, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
'

# bsdtar and GNU tar write the path alone with -t, and with -tv a line that ends in it; both escape what is not printable. With
# -P they show it as the archive has it, without what they would cut off when unpacking.
# shellcheck disable=SC2016 # the dollars are awk's
TAR_LISTING='
FNR == NR { path[FNR] = $0; next }
{
  kind = substr($0, 1, 1)
  size = $2 ~ /\// ? $3 : $5
  target = ""
  if ((at = index($0, path[FNR] " -> ")) > 0 && kind == "l") target = substr($0, at + length(path[FNR]) + 4)
  if ((at = index($0, path[FNR] " link to ")) > 0) { kind = "h"; target = substr($0, at + length(path[FNR]) + 9); size = 0 }
  printf "%s\t%s\t%s\t%s\n", kind, size, path[FNR], target
}
'

case $archiver in
  tar)
    list() {
      "$tar" -P -tf "$1" >"$state/names" 2>"$state/unpack.log" &&
        "$tar" -P --numeric-owner -tvf "$1" >"$state/details" 2>>"$state/unpack.log" &&
        awk "$TAR_LISTING" "$state/names" "$state/details"
    }
    unpack() { "$tar" -xf "$1" -C "$2" --no-same-owner --no-same-permissions; }
    ;;
  python)
    list() { python3 -c "$PYTHON" list "$1" 2>"$state/unpack.log"; }
    unpack() { python3 -c "$PYTHON" unpack "$1" "$2"; }
    ;;
  unzip)
    # zipinfo does not show where a link leads, and a link without a target is refused below.
    list() {
      unzip -Z1 "$1" >"$state/names" 2>"$state/unpack.log" && unzip -Zs "$1" >"$state/details" 2>>"$state/unpack.log" &&
        sed -e 1,2d -e '$d' "$state/details" | awk 'FNR == NR { path[FNR] = $0; next }
          { printf "%s\t%s\t%s\t\n", substr($0, 1, 1), $4, path[FNR] }' "$state/names" -
    }
    unpack() { unzip -qo "$1" -d "$2" </dev/null; }
    ;;
esac

# Reads a listing twice (links first) and prints either "ok ENTRIES FILES BYTES" or why it must not be unpacked. A link may only
# climb at the start of its target, and no path may lead through a link, so that counting folders says where it ends.
# shellcheck disable=SC2016 # the dollars are awk's
CHECK='
function plain(path) {
  while (sub(/\/\.\//, "/", path) || sub(/\/\//, "/", path)) continue
  while (sub(/^\.\//, "", path)) continue
  sub(/\/\.?$/, "", path)
  return path
}
function leaves(path) { return path ~ /^\// || ("/" path "/") ~ /\/\.\.\// }
function link_leaves(path, target,   up) {
  if (target ~ /^\//) return 1
  up = gsub(/\//, "/", path)
  target = plain(target)
  while (target ~ /^\.\.(\/|$)/) { sub(/^\.\.\/?/, "", target); up-- }
  return up < 0 || leaves(target)
}
function refuse(why) { print why; refused = 1; exit }
BEGIN { FS = "\t" }
NF != 4 { refuse("a name that cannot be read: " $0) }
{ path = plain($3) }
FNR == NR { if ($1 == "l") links[path] = 1; next }
$1 !~ /^[-dlh]$/ { refuse($3 " is neither a file nor a folder nor a link") }
path == "" && $1 != "d" || leaves($3) { refuse($3 " leads out of the folder") }
$1 == "l" && $4 == "" { refuse($3 " is a link whose target cannot be seen; bsdtar or python3 can") }
$1 == "l" && link_leaves(path, $4) { refuse($3 " is a link that leads out of the folder, to " $4) }
$1 == "h" && leaves($4) { refuse($3 " is a link that leads out of the folder, to " $4) }
{
  n = split($1 == "h" ? path "/./" plain($4) : path, part, "/")
  above = ""
  for (i = 1; i < n; i++) {
    if (part[i] == ".") { above = ""; continue }
    above = above part[i]
    if (above in links) refuse($3 " lies behind the link " above)
    above = above "/"
  }
  entries++
  if ($1 != "d" && !(path in seen)) { seen[path] = 1; files++ }
  bytes += $2
}
END { if (!refused) printf "ok %d %d %.0f\n", entries, files, bytes }
'

discard() {
  if [ -e "$1" ]; then
    chmod -R u+rwX "$1"
    rm -rf "$1"
  fi
}

unusable() {
  discard "$unpacked"
  sed 's/^/  /' "$state/unpack.log" 2>/dev/null | tail -n 5 >&2
  fail 1 "$(shown "$url") $1; nothing of it was put into place" "  the file is kept:  $part"
}

check() { awk "$CHECK" "$1" "$1"; }

unpack_archive() {
  : >"$state/unpack.log"
  # bsdtar takes a zip that lost its end for one that is still arriving, and is content with what it finds.
  if [ "$kind" = zip ] && ! tail -c 65557 "$part" | LC_ALL=C grep -aq "$(printf 'PK\005\006')"; then
    unusable "is not a zip archive that can be read: its end is missing"
  fi
  list "$part" >"$state/listing" || unusable "is not a $kind archive that can be read"
  verdict=$(check "$state/listing")
  case $verdict in
    'ok '*) ;;
    *) unusable "is refused: $verdict" ;;
  esac
  read -r _ entries files bytes <<END
$verdict
END
  [ "$files" -gt 0 ] || unusable "holds no files"
  # A file takes whole blocks, and an entry of its own in the table of files.
  require_space $((bytes + entries * 4096)) "unpacking $files files"
  inodes=$(free_inodes)
  if [ "${inodes:-0}" -gt 0 ] && [ "$entries" -gt "$inodes" ]; then
    fail 1 "unpacking $(shown "$url") makes $entries files and folders, and $ROOT/data has room for $inodes"
  fi
  say "unpacking $files files, $(megabytes "$bytes")"
  mkdir "$unpacked"
  unpack "$part" "$unpacked" >>"$state/unpack.log" 2>&1 || unusable "cannot be unpacked"
  chmod -R u+rwX,ug-s "$unpacked"
  found=$(find "$unpacked" ! -type d | wc -l)
  [ "$found" -eq "$files" ] || unusable "holds $files files, of which $((found)) could be unpacked"

  # What archivers on macOS add is no part of a data set.
  tree=$(find "$unpacked" -mindepth 1 -maxdepth 1 ! -name __MACOSX)
  if [ ! -d "$tree" ] || [ -L "$tree" ]; then tree=$unpacked; fi
  # A link that stayed inside the archive may not stay inside its single folder.
  # shellcheck disable=SC2016 # for the inner shell
  (cd "$tree" && find . -type l -exec sh -c \
    'for link; do printf "l\t0\t%s\t%s\n" "${link#./}" "$(readlink "$link")"; done' sh {} +) >"$state/listing"
  verdict=$(check "$state/listing")
  case $verdict in
    'ok '*) ;;
    *) unusable "is refused: $verdict" ;;
  esac
}

take_file() {
  mkdir "$unpacked"
  mv "$part" "$unpacked/$NAME"
  tree=$unpacked
  files=1
}

# --- into place -------------------------------------------------------------------------------------------------------

put_into_place() {
  rm -f "$tree/.gpubox.json"
  printf '{"url": "%s", "sha256": "%s", "files": %s}\n' "$(shown "$url")" "$SHA256" "$files" >"$tree/.gpubox.json"
  flush "$tree"
  mkdir -p "$(dirname "$target")"
  if [ -d "$target" ] && [ ! -L "$target" ]; then rmdir "$target" || in_the_way "$target" "was filled in the meantime"; fi
  if [ -e "$target" ] || [ -L "$target" ]; then in_the_way "$target" "was made in the meantime"; fi
  mv "$tree" "$target"
  flush "$target"
  discard "$unpacked"
  rm -f "$state"/*.part "$state/names" "$state/details" "$state/listing" "$state/fetch.log" "$state/unpack.log"
}

lock
choose_target
discard "$unpacked"
obtain
if [ "$kind" = plain ]; then take_file; else unpack_archive; fi
put_into_place
result created
