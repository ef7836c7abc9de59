# The hash a data set was first downloaded with, for those whose configuration has none. Taken in by dataset.sh.
# shellcheck shell=sh disable=SC2034,SC2153,SC2154 # variables are shared with dataset.sh

# Hash of standard input.
sha256() {
  if have sha256sum; then
    sha256sum
  elif have shasum; then
    shasum -a 256
  else
    python3 -c '
import hashlib, sys
digest = hashlib.sha256()
for block in iter(lambda: sys.stdin.buffer.read(1 << 20), b""):
    digest.update(block)
print(digest.hexdigest())
'
  fi | cut -c 1-64
}

# A url as the record has it: with the hash of its query, which tells files apart and may hold a signature.
identity() {
  case $1 in
    *\?*) printf '%s?%s\n' "$(shown "$1")" "$(printf '%s' "$1" | sha256)" ;;
    *) printf '%s\n' "${1%%#*}" ;;
  esac
}

identities() {
  while read -r each; do identity "$each"; done <<END
$URLS
END
}

# Sets $SHA256 and $SIZE from the record, where the configuration has none and the record is of one of these urls. A file that
# is asked for under other urls alone is another file.
recorded=
recall() {
  if [ -n "$SHA256" ] || [ ! -f "$record" ]; then return; fi
  ours=$(identities)
  seen_sha256='' seen_size='' same=
  while read -r key value; do
    case $key in
      sha256) seen_sha256=$value ;;
      size) seen_size=$value ;;
      url)
        case "
$ours
" in *"
$value
"*) same=yes ;; esac
        ;;
    esac
  done <"$record"
  digits "sha256 in $record" "$seen_sha256" 64 "a SHA-256" "sha256sum FILE"
  number "size in $record" "$seen_size" bytes
  if [ -n "$same" ] && [ -n "$seen_sha256" ]; then
    SHA256=$seen_sha256
    SIZE=${SIZE:-$seen_size}
    recorded=yes
  fi
}

# What to do where a recorded file and the one that was downloaded differ.
say_record() {
  if [ -n "$recorded" ]; then
    say "  that is what the first download had, by the record in $record"
    say "  if the new file is wanted:  rm $(quoted "$record")  and run again; it will land beside the old one"
  fi
}

remember() {
  {
    echo "# The file this data set was first downloaded as. Others are refused until this record is removed."
    echo "sha256 $SHA256"
    echo "size $(size "$file")"
    identities | sed 's/^/url /'
  } >"$record.new"
  flush "$record.new"
  mv "$record.new" "$record"
  say "the configuration has no hash for it; recorded in $record, and enforced from now on. To have it in the configuration:"
  say "  sha256: $SHA256"
}
