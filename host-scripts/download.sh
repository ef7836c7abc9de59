# Brings the file at a url onto the host. Taken in by dataset.sh.
# shellcheck shell=sh disable=SC2034,SC2153,SC2154 # variables are shared with dataset.sh
#
# An unfinished download is $state/KEY.part, or KEY.parts where aria2c makes it, which fills it in several places at once and
# keeps in KEY.parts.aria2 what is there. Neither program can go on with what the other left, so a download is gone on with by
# the kind that began it. A complete one is $state/KEY.file. KEY is the file's hash; where that is not known, what the
# server says that tells versions of the file apart.

size() { if [ -e "$1" ]; then wc -c <"$1" | tr -d ' '; else echo 0; fi; }

# --- room on the disk -------------------------------------------------------------------------------------------------

# The column before the percentage: device names and mount points may hold blanks.
free_bytes() {
  df -Pk "$state" | awk 'NR > 1 { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { printf "%.0f\n", $(i - 1) * 1024; exit } }'
}
free_inodes() {
  df -Pi "$state" 2>/dev/null | awk 'NR > 1 { for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { print $(i - 1); exit } }'
}

# shortage BYTES WHAT: says that there is not so much room, if so.
shortage() {
  free=$(free_bytes)
  if [ "$1" -gt "$free" ]; then
    echo "$2 in $ROOT/data, and $(megabytes "$free") are free ($origin)"
    echo "  what takes the room:  du -xsh $(quoted "$ROOT")/*"
  fi
}

# An archive holds at least as much as it takes itself, and both are there until it is removed.
require_space_for_download() {
  if [ -z "$bytes" ]; then return; fi
  missing=$((bytes - $(got)))
  if [ "$kind" = plain ]; then
    lacking=$(shortage "$missing" "the download needs $(megabytes "$missing")")
  else
    lacking=$(shortage $((missing + bytes)) \
      "the download needs $(megabytes $((missing + bytes))), at least half of it to unpack,")
  fi
  if [ -n "$lacking" ]; then
    say_lines "$lacking"
    exit 1
  fi
}

# --- connections of all data sets -------------------------------------------------------------------------------------

# Up to four connections are a slot: a file that is locked while they are open. (A shell has descriptors for few locks.)
connections_of_slot() {
  rest=$((CONNECTIONS - 4 * ($1 - 1)))
  if [ "$rest" -lt 4 ]; then echo "$rest"; else echo 4; fi
}

# take_slot DESCRIPTOR: locks a free slot, if there is one, and adds to $connections.
take_slot() {
  slot=1
  while [ $((4 * (slot - 1))) -lt "$CONNECTIONS" ]; do
    # No folder of a data set has such a name there: see state_folder.
    eval "exec $1>>\"\$ROOT/data/.gpubox/%slot-\$slot\""
    if try_lock "$1"; then
      connections=$((connections + $(connections_of_slot "$slot")))
      return 0
    fi
    eval "exec $1>&-"
    slot=$((slot + 1))
  done
  return 1
}

# Sets $connections: at least those of one slot, which is waited for.
take_connections() {
  connections=0
  waited=0
  until take_slot 7; do
    if [ $((waited % 10)) -eq 0 ]; then say "waiting for other data sets to download (connections: $CONNECTIONS)"; fi
    sleep 1
    waited=$((waited + 1))
  done
  if [ "$fetcher" = aria2c ]; then take_slot 8 || :; fi
}

leave_connections() { exec 7>&- 8>&-; }

# --- which program does it --------------------------------------------------------------------------------------------

# Programs read the url from standard input: a process list shows arguments to everybody. None reads its configuration file,
# or passwords for hosts.
run_curl() {
  printf 'url = "%s"\n' "$url" |
    curl -q -g -sSL --proto '=http,https,file' --proto-redir '=http,https' --connect-timeout 20 --config - "$@"
}
run_wget() { printf '%s\n' "$url" | wget --no-config --no-netrc -S -i - "$@"; }

# --allow-overwrite lets it start afresh where a part has no .aria2 file to tell what of it is there. --auto-save-interval is
# what a kill costs in seconds. With --retry-wait 0 a 503 ends it, and the loop below tries again.
run_aria2c() {
  printf '%s\n  out=%s\n' "$url" "${part##*/}" |
    aria2c --no-conf=true --no-netrc=true --input-file=- --dir="$state" --allow-overwrite=true \
      --auto-file-renaming=false --file-allocation=none --auto-save-interval=1 --remote-time=false \
      --follow-torrent=false --follow-metalink=false --split="$connections" \
      --max-connection-per-server="$connections" --min-split-size=1M --max-tries=5 --retry-wait="$RETRY_DELAY" \
      --connect-timeout=20 --timeout=60 --enable-color=false --show-console-readout=false --summary-interval=0 \
      --console-log-level=warn --download-result=hide
}

choose_fetcher() {
  case $url in
    *%*) ;;
    [fF]*) fetcher=copy && return ;;
  esac
  case $url in
    [fF]*) ;;
    *) if have aria2c; then fetcher=aria2c && return; fi ;;
  esac
  if have curl; then
    fetcher=curl
  elif have wget; then
    fetcher=wget
  else
    fail 1 "needs aria2c, curl or wget to download $(shown "$url")" "  for instance:  sudo apt-get install aria2 curl"
  fi
}

# --- what the server says before --------------------------------------------------------------------------------------

headers() {
  case $url in
    [fF]*) if [ "$fetcher" = copy ]; then printf 'Content-Length: %s\n' "$(size "${url#*://}")" && return; fi ;;
  esac
  if have curl; then
    run_curl -I --max-time 30 2>/dev/null >"$state/headers.log" || :
    # A url that is signed for GET alone: ask for one byte.
    if grep -Eq '^HTTP/[0-9.]+ (403|405|501)' "$state/headers.log"; then
      run_curl -r 0-0 --max-filesize 1 --max-time 30 -D "$state/headers.log" -o /dev/null 2>/dev/null || :
    fi
    cat "$state/headers.log"
  elif have wget; then
    run_wget -q --spider --tries=1 --timeout=10 2>&1 || :
  fi
}

# Sets $bytes, the size of the file at $url, and $version, which is another one for another file; each empty where the
# server does not say. The headers of an error are about its page; a file has headers without a status.
ask() {
  answer=$(headers | tr -d '\r' | awk '
    BEGIN { good = 1 }
    { name = tolower($1) }
    name ~ /^http\// { good = $2 == 200 || $2 == 206; length_ = tag = date = ""; total = "" }
    name == "content-length:" && $2 ~ /^[0-9]+$/ { length_ = $2 }
    name == "content-range:" && sub(/.*\//, "", $0) && $0 ~ /^[0-9]+$/ { total = $0 }
    name == "etag:" { tag = $0 }
    name == "last-modified:" { date = $0 }
    END { if (good) print (total != "" ? total : length_ > 0 ? length_ : "") "|" tag date }')
  bytes=${answer%%|*}
  version=${answer#"$bytes"}
  version=${version#|}
}

# --- the download -----------------------------------------------------------------------------------------------------

# Bytes of the download so far. Where several places are filled at once, what counts is the room they take.
got() {
  case $part in
    *.parts) if [ -e "$part" ]; then du -k "$part" | awk '{ printf "%.0f\n", $1 * 1024 }'; else echo 0; fi ;;
    *) size "$part" ;;
  esac
}

# Sets $file and $part, and removes what is of no use for them.
name_files() {
  key=$SHA256
  if [ -z "$key" ]; then
    key=unseen
    if [ -n "$version" ]; then key=unseen-$(printf '%s\n' "$url" "$version" "$bytes" | sha256 | cut -c 1-16); fi
    for old in "$state"/unseen*; do
      # Nothing tells whether the file is still the one it is the beginning of.
      case $old in
        "$state/$key".*) if [ -n "$version" ]; then continue; fi ;;
      esac
      rm -f "$old"
    done
  fi
  file=$state/$key.file
  part=$state/$key.part
  if [ "$fetcher" = aria2c ] && [ -s "$part" ] && have curl; then fetcher=curl; fi
  if [ "$fetcher" = aria2c ]; then
    rm -f "$part"
    part=$part"s"
  else
    rm -f "${part}s" "${part}s.aria2"
  fi
}

# One request, which goes on where the last one ended. Sets $rc to the exit status of the program, $code to the HTTP status (000
# where there is none) and $why to the program's last words, without what a url may have in its query.
request() {
  rc=0 code=000 why=
  log=$state/fetch.log
  case $fetcher in
    aria2c)
      # Renamed by the same subshell: without its .aria2 file a part is not known to be complete, should this run be killed.
      (run_aria2c >"$log" 2>&1 && mv "$part" "$file") || rc=$?
      code=$(sed -n -e 's/.*errorCode=3 .*/404/p' -e 's/.*errorCode=24 .*/401/p' -e 's/.*status=\([0-9]*\).*/\1/p' "$log" |
        tail -n 1)
      why=$(sed -n -e '/URI=/d' -e 's/.*errorCode=[0-9]* //p' "$log" | tail -n 1)
      ;;
    curl)
      code=$(run_curl -f -C - -o "$part" -w '%{http_code}' --speed-limit 1000 --speed-time 60 2>"$log") || rc=$?
      ;;
    wget)
      run_wget -nv -c -O "$part" --tries=1 --timeout=60 2>"$log" || rc=$?
      code=$(sed -n 's|^ *HTTP/[0-9.]* \([0-9][0-9][0-9]\).*|\1|p' "$log" | tail -n 1)
      ;;
    copy) cp "${url#*://}" "$part" 2>"$log" || rc=$? ;;
  esac
  code=${code:-000}
  why=$(printf '%s' "${why:-$(tail -n 1 "$log")}" | sed 's/[?][^[:space:]]*/?.../g')
}

cannot_write() {
  rm -f "$part" "$part.aria2"
  fail 1 "cannot write the download of $origin to $state: $why" \
    "  $(megabytes "$(free_bytes)") are free there; what takes the room:  du -xsh $(quoted "$ROOT")/*"
}

# Each try goes on from the last one's end; five in a row without a byte won give up.
get_all() {
  tries=0
  furthest=$(got)
  while :; do
    request
    case $fetcher:$rc:$code in
      *:0:*) return 0 ;;
      aria2c:9:* | aria2c:1[5-8]:* | curl:23:* | wget:3:*) cannot_write ;;
      # Asked for what comes after the last byte: the file is complete, or it is another one. The hash tells.
      curl:*:416 | wget:*:416) return 0 ;;
      # The server cannot go on in the middle, nor begin there.
      curl:33:*) rm -f "$part" ;;
      aria2c:8:*)
        rm -f "$part" "$part.aria2"
        connections=1
        ;;
      *:408 | *:425 | *:429) ;;
      # Asking again for what is not there, or not an address at all, gives the same answer.
      *:4?? | curl:1:* | curl:3:* | curl:37:* | copy:*) return 1 ;;
    esac
    now=$(got)
    if [ "$now" -gt "$furthest" ]; then
      furthest=$now
      tries=0
    else
      # What an earlier run noted down may be of no use, after a power cut for instance.
      case $why in *"segment file"*) rm -f "$part" "$part.aria2" ;; esac
    fi
    tries=$((tries + 1))
    if [ "$tries" -ge 5 ]; then return 1; fi
    say "no more after $(megabytes "$now") ($why); trying again"
    sleep $((RETRY_DELAY * tries))
  done
}

# Brings the file at $url into $file; says why, where it cannot.
download() {
  choose_fetcher
  ask
  if [ -n "$SIZE" ] && [ "${bytes:-$SIZE}" != "$SIZE" ]; then
    say "$origin is not the file that was asked for: it has $bytes bytes, not the $SIZE that are expected"
    say_record
    return 1
  fi
  name_files
  if [ -e "$file" ]; then return 0; fi
  require_space_for_download
  if [ "$fetcher" = copy ]; then connections=1; else take_connections; fi
  say "downloading $origin${bytes:+ ($(megabytes "$bytes"))}"
  watch '' got "$bytes"
  fetched=0
  get_all || fetched=$?
  unwatch
  leave_connections
  if [ "$fetched" = 0 ]; then
    # curl makes no file of an empty answer.
    if [ ! -e "$file" ] && [ ! -e "$part" ]; then : >"$part"; fi
    if [ ! -e "$file" ]; then mv "$part" "$file"; fi
    return 0
  fi
  case $code in
    000) say "cannot download $origin: ${why:-$fetcher ended with $rc}" ;;
    *) say "cannot download $origin: the server answers $code" ;;
  esac
  return 1
}
