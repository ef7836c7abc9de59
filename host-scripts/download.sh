# Brings the file at a url onto the host. Taken in by dataset.sh.
# shellcheck shell=sh disable=SC2034,SC2153,SC2154 # variables are shared with dataset.sh
#
# An unfinished download is $state/KEY.part, or KEY.parts where aria2c makes it, which fills it in several places at once and
# keeps in KEY.parts.aria2 what is there. Neither program can go on with what the other left, so a download is gone on with by
# the kind that began it. A complete one is $state/KEY.file. KEY is the file's hash, or "unseen" where that is not known.
# KEY.answer is what the server said of it.
#
# Some addresses are good for one request. So there is none before the one that brings the file: what it says is looked at as
# the file arrives.

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
    printf '%s\n' "$2 in $ROOT/data, and $(megabytes "$free") are free ($origin)" \
      "  what takes the room:  du -xsh $(quoted "$ROOT")/*"
  fi
}

# Why the rest of a download of $bytes does not fit; nothing where it does. An archive holds at least as much as it takes itself,
# and both are there until it is removed.
lacking_for_download() {
  if [ -z "$bytes" ]; then return; fi
  missing=$((bytes - $(got)))
  case $(kind_by_name "${given_name:-${sent_name:-$(url_name "$url")}}") in
    zip | tar)
      shortage $((missing + bytes)) \
        "the download needs $(megabytes $((missing + bytes))), at least half of it to unpack,"
      ;;
    *) shortage "$missing" "the download needs $(megabytes "$missing")" ;;
  esac
}

require_space_for_download() {
  lacking=$(lacking_for_download)
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

# Each program takes its proxies from other variables, and passes by those it does not know. Here they become the two that all
# of them read, and what is left out for which hosts.
settle_proxies() {
  set -- "${http_proxy:-${HTTP_PROXY:-${all_proxy:-${ALL_PROXY-}}}}" \
    "${https_proxy:-${HTTPS_PROXY:-${all_proxy:-${ALL_PROXY-}}}}" "${no_proxy:-${NO_PROXY-}}"
  unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
  if [ "$3" = '*' ]; then set -- '' '' ''; fi
  if [ -n "$1" ]; then export http_proxy="$1"; fi
  if [ -n "$2" ]; then export https_proxy="$2"; fi
  # Domains count with what is below them; for aria2c only with a dot.
  set -- "$1" "$2" "$(printf '%s\n' "$3" | tr ',' ' ' | awk '{
    for (i = 1; i <= NF; i++) {
      sub(/^\*?\./, "", $i)
      printf "%s%s", sep, $i ~ /[^0-9.:\/]/ ? $i ",." $i : $i
      sep = ","
    }
  }')"
  if [ -n "$3" ]; then export no_proxy="$3"; fi
  proxied_by=
  for each in "$1" "$2"; do
    case $(printf '%s' "$each" | tr '[:upper:]' '[:lower:]') in
      '' | http://*) ;;
      *://*) proxied_by=${each%%://*} ;;
    esac
  done
}

# Programs read the url from standard input: a process list shows arguments to everybody. None reads its configuration file,
# or passwords for hosts. Each takes the place of the shell it is started in.
run_curl() {
  exec curl -q -g -sSL --proto '=http,https,file' --proto-redir '=http,https' --connect-timeout 20 --cookie '' \
    --config - "$@" <<END
url = "$url"
END
}
run_wget() {
  exec wget --no-config --no-netrc -S -i - "$@" <<END
$url
END
}

# --allow-overwrite lets it start afresh where a part has no .aria2 file to tell what of it is there. --auto-save-interval is
# what a kill costs in seconds. With --retry-wait 0 a 503 ends it, and the loop below tries again. Its log has the headers of
# the answers. Without --disk-cache what is on the disk is what has arrived.
run_aria2c() {
  exec aria2c --no-conf=true --no-netrc=true --input-file=- --dir="$state" --allow-overwrite=true \
    --auto-file-renaming=false --file-allocation=none --auto-save-interval=1 --remote-time=false \
    --follow-torrent=false --follow-metalink=false --split="$connections" \
    --max-connection-per-server="$connections" --min-split-size=1M --max-tries=5 --retry-wait="$RETRY_DELAY" \
    --connect-timeout=20 --timeout=60 --enable-color=false --show-console-readout=false --summary-interval=0 \
    --download-result=hide --quiet=true --log=- --log-level=info --disk-cache=0 <<END
$url
  out=${part##*/}
END
}

choose_fetcher() {
  case $url in
    *%*) ;;
    [fF]*) fetcher=copy && return ;;
  esac
  case $url in
    [fF]*) ;;
    *)
      if [ -n "$proxied_by" ] && ! have curl; then
        fail 1 "cannot download $origin by the proxy that is set: of the programs that can be used only curl speaks $proxied_by" \
          "  for instance:  sudo apt-get install curl"
      fi
      if [ -z "$proxied_by" ] && have aria2c; then fetcher=aria2c && return; fi
      ;;
  esac
  if have curl; then
    fetcher=curl
  elif have wget; then
    fetcher=wget
  else
    fail 1 "needs aria2c, curl or wget to download $(shown "$url")" "  for instance:  sudo apt-get install aria2 curl"
  fi
}

# --- what the server says ---------------------------------------------------------------------------------------------

headers() {
  case $url in
    [fF]*) if [ "$fetcher" = copy ] && [ -f "${url#*://}" ]; then printf 'Content-Length: %s\n' "$(size "${url#*://}")" && return; fi ;;
  esac
  if have curl; then
    (run_curl -I --max-time 30 2>/dev/null >"$state/ask.log") || :
    # A url that is signed for GET alone: ask for one byte.
    if grep -Eq '^HTTP/[0-9.]+ (403|405|501)' "$state/ask.log"; then
      (run_curl -r 0-0 --max-filesize 1 --max-time 30 -D "$state/ask.log" -o /dev/null 2>/dev/null) || :
    fi
    cat "$state/ask.log"
  elif have wget; then
    (run_wget -q --spider --tries=1 --timeout=10 2>&1) || :
  fi
}

answer() { LC_ALL=C awk "$ANSWER" "$@"; }

# Asks for the file at $url without its content.
ask() {
  read_answer <<END
$(headers | answer)
END
}

# Sets $bytes, $version, $type and $sent_name from the answer to the last request, and keeps them. Fails where it says nothing of the
# file: what an earlier one said counts.
note_answer() {
  said=$(answer "$log")
  read_answer <<END
$said
END
  if [ -z "$bytes$version$type$sent_name" ]; then
    recall_answer
    return 1
  fi
  # On a disk that is full it is known for this run alone.
  { printf '%s\nurl %s\n' "$said" "$(printf '%s' "$url" | sha256)" >"$state/$key.answer.new" &&
    mv "$state/$key.answer.new" "$state/$key.answer"; } 2>/dev/null || rm -f "$state/$key.answer.new"
}

recall_answer() {
  read_answer <<END
$(cat "$state/$key.answer" 2>/dev/null)
END
}

# --- the download -----------------------------------------------------------------------------------------------------

# Bytes of the download so far. Where several places are filled at once, what counts is the room they take.
got() {
  case $part in
    *.parts) if [ -e "$part" ]; then du -k "$part" | awk '{ printf "%.0f\n", $1 * 1024 }'; else echo 0; fi ;;
    *) size "$part" ;;
  esac
}

# Sets $key, $file, $part and $log, and removes what is of no use for them.
name_files() {
  key=${SHA256:-unseen}
  file=$state/$key.file
  part=$state/$key.part
  log=$state/$key.log
  # Of another url: what was said there counts for that one.
  if ! grep -qs "^url $(printf '%s' "$url" | sha256)\$" "$state/$key.answer"; then rm -f "$state/$key.answer" "$log"; fi
  # A run that was killed has left its log.
  if [ ! -s "$log" ] || ! note_answer; then recall_answer; fi
  if [ -z "$SHA256" ] && ! is_same_version; then
    rm -f "$state"/unseen*
    recall_answer
  fi
  if [ "$fetcher" = aria2c ] && [ -s "$part" ] && have curl; then fetcher=curl; fi
  if [ "$fetcher" = aria2c ]; then
    rm -f "$part"
    part=$part"s"
  else
    rm -f "${part}s" "${part}s.aria2"
  fi
}

# Whether what is there of a file without a hash is still of the one that the server has.
is_same_version() {
  if [ ! -e "$file" ] && [ ! -e "$part" ] && [ ! -e "${part}s" ]; then return 1; fi
  if [ -z "$version" ]; then return 1; fi
  before="$version $bytes"
  ask
  same_as_before=
  if [ "$version $bytes" = "$before" ]; then same_as_before=yes; fi
  recall_answer
  [ -n "$same_as_before" ]
}

# Looks after the download that a process makes: ends it where the file turns out to be another one or not to fit, or where it is
# too slow, and writes the reason to "stopped"; says every five seconds how far it is. It lives as long as the download, which may
# be longer than the run. Runs in the background, as one process: what it would start for itself would outlive its end.
oversee() {
  downloader=$1
  stop() { echo "$*" >"$state/stopped" && kill "$downloader" && exit; }
  exec 7>&- 8>&- 9>&- >/dev/null
  seconds=0
  shown_bytes=$(got)
  counted_bytes=$shown_bytes
  answered=
  while sleep 1 >/dev/null 2>&1 && kill -0 "$downloader" 2>/dev/null; do
    # A caller would wait for the end of this, though nobody listens.
    kill -0 "$$" 2>/dev/null || exec 2>/dev/null
    seconds=$((seconds + 1))
    if [ -z "$answered" ] && note_answer; then
      answered=yes
      if [ "${bytes:-$SIZE}" != "${SIZE:-$bytes}" ]; then stop size; fi
      if [ -n "$(lacking_for_download)" ]; then stop space; fi
    fi
    if [ $((seconds % 5)) -eq 0 ]; then
      now=$(got)
      report '' "$now" "$shown_bytes" "$bytes"
      shown_bytes=$now
    fi
    if [ $((seconds % SPEED_TIME)) -eq 0 ]; then
      now=$(got)
      if [ $((now - counted_bytes)) -lt $((SPEED_LIMIT * SPEED_TIME)) ]; then stop slow "$seconds"; fi
      counted_bytes=$now
    fi
  done
}

# Runs the program. Renames what it has brought at once: without its .aria2 file a part is not known to be complete, should this
# run be killed.
fetch() (
  case $fetcher in
    aria2c) run_aria2c ;;
    curl) run_curl -f -C - -o "$part" -D - ;;
    wget) run_wget -nv -c -O "$part" --tries=1 --timeout=60 ;;
    copy) exec cp "${url#*://}" "$part" ;;
  esac >"$log" 2>&1 &
  downloader=$!
  oversee "$downloader" &
  overseer=$!
  # As in oversee. Some shells also tell of each process that is ended.
  exec >/dev/null 2>&1
  ended=0
  wait "$downloader" || ended=$?
  kill "$overseer" || :
  wait "$overseer" || :
  if [ "$ended" = 0 ]; then
    # curl makes no file of an empty answer.
    if [ ! -e "$part" ]; then : >"$part"; fi
    mv "$part" "$file"
  fi
  exit "$ended"
)

# One request, which goes on where the last one ended. Sets $rc to the exit status of the program, $code to the HTTP status (000
# where there is none), $why to the program's last words, without what a url may have in its query, and $stopped to why it was
# ended, if it was.
request() {
  rc=0 stopped='' elapsed=''
  rm -f "$log" "$state/stopped"
  fetch || rc=$?
  if [ -s "$state/stopped" ]; then read -r stopped elapsed <"$state/stopped" || :; fi
  why=$(tail -n 1 "$log")
  code=$(answer "$log" | sed -n 's/^code //p')
  if [ "$fetcher" = aria2c ]; then
    code=$(sed -n -e 's/.*errorCode=3 .*/404/p' -e 's/.*errorCode=24 .*/401/p' -e 's/.*status=\([0-9]*\).*/\1/p' "$log" |
      tail -n 1)
    why=$(sed -n -e '/URI=/d' -e 's/.*errorCode=[0-9]* //p' "$log" | tail -n 1)
  fi
  code=${code:-000}
  if [ "$stopped" = slow ]; then why="less than $SPEED_LIMIT bytes a second for $SPEED_TIME seconds"; fi
  why=$(printf '%s' "$why" | sed 's/[?][^[:space:]]*/?.../g')
  note_answer || :
}

cannot_write() {
  rm -f "$part" "$part.aria2"
  require_space_for_download
  fail 1 "cannot write the download of $origin to $state: $why" \
    "  $(megabytes "$(free_bytes)") are free there; what takes the room:  du -xsh $(quoted "$ROOT")/*"
}

# Each try goes on from the last one's end. Five in a row without a byte won give up, and two that crawled: a new connection may
# be faster, and another url as well.
get_all() {
  tries=0
  crawls=0
  furthest=$(got)
  while :; do
    begun_at=$(got)
    request
    case $stopped in
      size) return 1 ;;
      space) require_space_for_download ;;
    esac
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
    tries=$((tries + 1))
    if [ "$stopped" = slow ] && [ $((now - begun_at)) -lt $((SPEED_LIMIT * elapsed)) ]; then
      crawls=$((crawls + 1))
    elif [ "$now" -gt "$furthest" ]; then
      tries=1
      crawls=0
    else
      # What an earlier run noted down may be of no use, after a power cut for instance.
      case $why in *"segment file"*) rm -f "$part" "$part.aria2" ;; esac
    fi
    if [ "$now" -gt "$furthest" ]; then furthest=$now; fi
    if [ "$tries" -ge 5 ] || [ "$crawls" -ge 2 ]; then return 1; fi
    say "no more after $(megabytes "$now") ($why); trying again"
    sleep $((RETRY_DELAY * tries))
  done
}

# Whether the server has said that the file is not as large as it is to be.
is_wrong_size() {
  if [ "${bytes:-$SIZE}" = "${SIZE:-$bytes}" ]; then return 1; fi
  say "$origin is not the file that was asked for: it has $bytes bytes, not the $SIZE that are expected"
  say_record
}

# Brings the file at $url into $file; says why, where it cannot.
download() {
  choose_fetcher
  name_files
  if [ -e "$file" ]; then return 0; fi
  case $url in [fF]*) ask ;; esac
  if is_wrong_size; then return 1; fi
  require_space_for_download
  if [ "$fetcher" = copy ]; then connections=1; else take_connections; fi
  say "downloading $origin${bytes:+ ($(megabytes "$bytes"))}"
  if [ ! -e "$state/$key.answer" ]; then printf 'url %s\n' "$(printf '%s' "$url" | sha256)" >"$state/$key.answer"; fi
  fetched=0
  get_all || fetched=$?
  leave_connections
  if [ "$fetched" = 0 ]; then
    if [ ! -e "$file" ]; then mv "$part" "$file"; fi
    # Nothing else would show that an answer without a length has lost its end.
    if [ -z "$SHA256$bytes" ]; then bytes=$(ask && printf '%s' "$bytes"); fi
    return 0
  fi
  if [ "$stopped" = size ]; then
    is_wrong_size || :
    rm -f "$part" "$part.aria2"
    return 1
  fi
  case $code in
    000 | 2??) say "cannot download $origin: ${why:-$fetcher ended with $rc}" ;;
    *) say "cannot download $origin: the server answers $code" ;;
  esac
  return 1
}
