# Lines that say how far a long step is. Taken in by dataset.sh and code.sh.
# shellcheck shell=sh

megabytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f MB", bytes / 1000000 }'; }

# shellcheck disable=SC2016 # the dollars are awk's
PROGRESS='
function mb(bytes) { return sprintf("%.1f MB", bytes / 1000000) }
function left(s) {
  if (s < 100) return sprintf("%d s", s + 0.5)
  if (s < 5940) return sprintf("%d min", s / 60 + 0.5)
  return sprintf("%d h %02d min", s / 3600, s % 3600 / 60)
}
BEGIN {
  if (total > 0 && done > total) done = total
  rate = done > before ? (done - before) / 5 : 0
  line = mb(done) (total > 0 ? " of " mb(total) : "") ", " mb(rate) "/s"
  if (total > 0 && rate > 0) line = line ", " left((total - done) / rate) " left"
  print line
}'

# report WHAT DONE BEFORE TOTAL: says how far it is, and how fast since five seconds ago; TOTAL may be empty.
report() { say "$1$(awk -v total="${4:-0}" -v done="$2" -v before="$3" "$PROGRESS")"; }

# watch WHAT [MEASURE TOTAL]: a line every five seconds until unwatch: of the bytes that MEASURE prints, where it is given. Looks
# for the shell each second: what outlives it would keep its caller waiting for the end of stderr.
watch() {
  (
    seconds=0
    before=$(${2:-echo 0})
    while sleep 1 >/dev/null 2>&1 && kill -0 "$$" 2>/dev/null; do
      seconds=$((seconds + 1))
      if [ $((seconds % 5)) -ne 0 ]; then continue; fi
      if [ -n "${2-}" ]; then
        now=$($2)
        report "$1" "$now" "$before" "${3-}"
        before=$now
      else
        say "$1, $seconds s so far"
      fi
    done
  ) 7>&- 8>&- 9>&- >/dev/null &
  watcher=$!
}
watcher=
unwatch() {
  if [ -n "$watcher" ]; then
    kill "$watcher" 2>/dev/null || :
    wait "$watcher" 2>/dev/null || :
    watcher=
  fi
}
