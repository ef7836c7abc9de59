# What a download is: what the server said of it, its name, its kind, whether it is a page. Taken in by dataset.sh.
# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared with dataset.sh

# --- what the server said ---------------------------------------------------------------------------------------------

# Reads what a program wrote down of its requests (curl -D, wget -S, the log of aria2c) and prints lines "key value": "code" of
# the last answer, and "bytes", "version" (another one for another file), "type" and "name" of the file, each where it was said.
# What comes with a redirection, an error or a proxy's "connection established" is not about the file; the headers of a file
# url have no status.
# shellcheck disable=SC2016 # the dollars are awk's
ANSWER='
function hex(digit) { return index("0123456789abcdef", tolower(digit)) - 1 }
# As UTF-8, where it is of ISO 8859-1. No name has a NUL in it; what is returned for one is refused.
function byte(n, latin) {
  if (n == 0) n = 1
  return latin && n > 127 ? sprintf("%c%c", 192 + int(n / 64), 128 + n % 64) : sprintf("%c", n)
}
function percent_decoded(text, latin,   out, at) {
  while ((at = index(text, "%")) > 0 && substr(text, at + 1, 2) ~ /^[0-9a-fA-F][0-9a-fA-F]$/) {
    out = out substr(text, 1, at - 1) byte(16 * hex(substr(text, at + 1, 1)) + hex(substr(text, at + 2, 1)), latin)
    text = substr(text, at + 3)
  }
  return out text
}
# RFC 8187: the encoding, the language, the name.
function extended(text,   charset) {
  charset = tolower(text)
  sub(/\047.*/, "", charset)
  if (!sub(/^[^\047]*\047[^\047]*\047/, "", text)) return ""
  if (charset == "utf-8") return percent_decoded(text, 0)
  return charset == "iso-8859-1" ? percent_decoded(text, 1) : ""
}
# RFC 6266. A backslash that escapes nothing is the separator of a path; wget shows what is not ASCII as \ and octal digits.
function disposition(text,   key, value, plain, ext, at, c) {
  while (text != "") {
    match(text, /^[^=;]*/)
    key = tolower(substr(text, 1, RLENGTH))
    gsub(/[ \t]/, "", key)
    c = substr(text, RLENGTH + 1, 1)
    text = substr(text, RLENGTH + 2)
    if (c != "=") continue
    sub(/^[ \t]+/, "", text)
    value = ""
    if (substr(text, 1, 1) == "\"") {
      for (at = 2; at <= length(text) && (c = substr(text, at, 1)) != "\""; at++) {
        if (c == "\\" && substr(text, at + 1, 3) ~ /^[0-3][0-7][0-7]$/) {
          c = byte(64 * substr(text, at + 1, 1) + 8 * substr(text, at + 2, 1) + substr(text, at + 3, 1), 0)
          at += 3
        } else if (c == "\\" && substr(text, at + 1, 1) ~ /["\\]/) c = substr(text, ++at, 1)
        value = value c
      }
      text = substr(text, at + 1)
      sub(/^[^;]*;?/, "", text)
    } else {
      match(text, /^[^;]*/)
      value = substr(text, 1, RLENGTH)
      text = substr(text, RLENGTH + 2)
    }
    if (key == "filename") plain = value
    if (key == "filename*") ext = extended(value)
  }
  if (ext != "") plain = ext
  sub(/.*[\/\\]/, "", plain)
  gsub(/^[ \t]+|[ \t]+$/, "", plain)
  if (plain ~ /[\001-\037\177]/ || length(plain) > 255) return ""
  return plain == "." || plain == ".." || plain == ".gpubox.json" ? "" : plain
}
BEGIN { good = 1 }
{ sub(/\r$/, ""); sub(/^[ \t]+/, "") }
/^HTTP\/[0-9.]+ [0-9][0-9][0-9]/ { code = $2; good = $2 == 200 || $2 == 206; next }
$0 == "" { good = 0 }
!good || !(at = index($0, ":")) { next }
{ key = tolower(substr($0, 1, at - 1)); value = substr($0, at + 1); sub(/^[ \t]+/, "", value) }
key == "content-length" && value ~ /^[0-9]+$/ { length_ = value }
key == "content-range" && sub(/.*\//, "", value) && value ~ /^[0-9]+$/ { total = value }
key == "etag" { tag = value }
key == "last-modified" { date = value }
key == "content-type" { type = tolower(value); sub(/[ \t]*;.*/, "", type) }
key == "content-disposition" { name = disposition(value) }
END {
  print "code " code
  print "bytes " (total != "" ? total : length_ > 0 ? length_ : "")
  print "version " tag date
  print "type " type
  print "name " name
}'

# Sets $bytes, $version, $type and $sent_name from such lines.
read_answer() {
  bytes='' version='' type='' sent_name=''
  while IFS= read -r line; do
    case $line in
      'bytes '*) bytes=${line#* } ;;
      'version '*) version=${line#* } ;;
      'type '*) type=${line#* } ;;
      'name '*) sent_name=${line#* } ;;
    esac
  done
}

# --- its name and kind ------------------------------------------------------------------------------------------------

url_name() {
  set -- "${1%%[?#]*}"
  printf '%s' "${1##*/}"
}

# What a name says: "zip", "tar", "plain", or "unknown" where it has no ending, or that of a program that hands files out.
kind_by_name() {
  case $(printf '%s' "$1" | tr '[:upper:]' '[:lower:]') in
    *.zip) echo zip ;;
    *.tar | *.tar.gz | *.tgz | *.tar.bz2 | *.tbz | *.tbz2 | *.tar.xz | *.txz | *.tar.zst | *.tzst) echo tar ;;
    *.php | *.asp | *.aspx | *.ashx | *.jsp | *.cgi | *.do) echo unknown ;;
    *.*[a-z]*)
      # An ending is short and has a letter: "birds-1.0" and "v2. of all birds" have none.
      case ${1##*.} in
        *[!A-Za-z0-9]* | ?????????????*) echo unknown ;;
        *[A-Za-z]*) echo plain ;;
        *) echo unknown ;;
      esac
      ;;
    *) echo unknown ;;
  esac
}

# What the first bytes of $file say: "zip", "tar", "7z", "rar", "gzip", "bzip2", "xz", "zstd", or nothing.
format() {
  case $(head -c 6 "$file" | od -An -v -to1 | tr -d ' \n') in
    120113003004* | 120113005006*) echo zip ;; # "PK" and 3, 4; 5, 6 where it is empty
    067172274257047034) echo 7z ;;
    122141162041032007) echo rar ;;
    037213010*) echo gzip ;;
    1021321500[67]*) echo bzip2 ;; # "BZh" and a digit
    375067172130132000) echo xz ;;
    050265057375*) echo zstd ;;
    *) if [ "$(tail -c +258 "$file" | head -c 5 | tr -d '\000')" = ustar ]; then echo tar; fi ;;
  esac
}

# Whether what is compressed in $file is a tar.
holds_tar() {
  find_archivers tar
  for archiver in $archivers; do
    if [ -n "$(first_of_tar "$file")" ]; then return 0; fi
  done
  return 1
}

# Sets $NAME and $kind of the download in $file: the name that the configuration gives, else the server, else the url. Where it
# has no ending, the bytes tell an archive. Where it is a plain file's, it is kept as one, and a line says what it is.
identify() {
  NAME=${given_name:-${sent_name:-$(url_name "$url")}}
  kind=$(kind_by_name "$NAME")
  format=$(format)
  case $kind:$format in
    zip:tar | unknown:tar) kind=tar ;;
    tar:zip | unknown:zip) kind=zip ;;
    zip:gzip | zip:bzip2 | zip:xz | zip:zstd) if holds_tar; then kind=tar; fi ;;
    unknown:gzip | unknown:bzip2 | unknown:xz | unknown:zstd)
      kind=plain
      if holds_tar; then kind=tar; else say_packed "compressed by $format"; fi
      ;;
    unknown:) kind=plain ;;
    unknown:* | plain:?*)
      kind=plain
      say_kept
      ;;
  esac
  if [ "$kind" != plain ]; then require_archivers; fi
}

# What is to be known of a plain file that is packed: nothing where it is wanted so.
say_kept() {
  case $format:$(printf '%s' "$NAME" | tr '[:upper:]' '[:lower:]') in
    # Formats that are a zip, or compressed, inside.
    *.npz | *.pt | *.pth | *.ckpt | *.keras | *.docx | *.xlsx | *.pptx | *.od[tsp] | *.epub | *.jar | *.apk | *.whl | *.kmz) ;;
    *.rds | *.rda | *.svgz) ;;
    gzip:*.gz | bzip2:*.bz2 | xz:*.xz | zstd:*.zst) if holds_tar; then say_packed "a tar archive, compressed by $format" tar; fi ;;
    zip:*) say_packed "a zip archive" zip ;;
    tar:*) say_packed "a tar archive" tar ;;
    7z:* | rar:*) say_packed "a $format archive" ;;
    *) if holds_tar; then say_packed "a tar archive, compressed by $format" tar; else say_packed "compressed by $format"; fi ;;
  esac
}

# say_packed WHAT [ENDING]: where gpubox would unpack it, the ending that its name takes.
say_packed() {
  say "$NAME is $1, and is kept as it is"
  if [ -n "${2-}" ]; then
    say "  to have it unpacked, give the entry of data a name that says so:  name: $(quoted "${NAME%.*}.$2")"
    say "  and remove this one:  rm -r $(quoted "$target")"
  fi
}

# Says again what is to be known of the file in $target, where it is the only one. By a copy of how it begins: what is there by now
# may be anything, without an end perhaps.
say_again() {
  set -- "$target"/*
  if [ "$#" != 1 ] || ! is_file "$1"; then return; fi
  file=$(mktemp) || return 0
  NAME=${1##*/}
  briefly 5 head -c 1048576 "$1" >"$file" || :
  format=$(format)
  if [ -n "$format" ]; then say_kept; fi
  rm -f "$file"
}

# --- pages ------------------------------------------------------------------------------------------------------------

# Reads the beginning of a file, without a mark of byte order, in small letters and in one line: whether it is a page of HTML.
# shellcheck disable=SC2016 # the dollars are awk's
PAGE='
{ text = text " " $0 }
END {
  do {
    before = length(text)
    sub(/^[ \t\r\f]+/, "", text)
    if (substr(text, 1, 4) == "<!--" && (end = index(text, "-->"))) text = substr(text, end + 3)
    if (substr(text, 1, 5) == "<?xml" && (end = index(text, "?>"))) text = substr(text, end + 2)
  } while (length(text) < before)
  exit text !~ /^<(!doctype[ ]+html|html|head|title|meta|script|style|body|iframe|frameset|noscript)[ \/>]/
}'

# UTF-16 is known by its NULs, which the letters of these tags are next to.
looks_like_page() {
  head -c 65536 "$file" | LC_ALL=C tr -d '\000\357\273\277\376\377' | LC_ALL=C tr '[:upper:]\t\r\n\f' '[:lower:]    ' |
    LC_ALL=C awk "$PAGE"
}

# What is neither text nor UTF-16. No page has a NUL byte.
is_binary() {
  case $(head -c 2 "$file" | od -An -v -to1 | tr -d ' \n') in
    377376 | 376377) return 1 ;;
  esac
  [ "$(head -c 4096 "$file" | LC_ALL=C tr -d '\000' | wc -c)" -lt "$(head -c 4096 "$file" | wc -c)" ]
}

# A page of a login, or of an error, that came with status 200. Some servers say of everything that it is a page.
is_page() {
  case $(printf '%s' "$NAME" | tr '[:upper:]' '[:lower:]') in
    *.htm | *.html | *.xhtml) return 1 ;;
  esac
  if looks_like_page; then return 0; fi
  case $type in
    text/html | application/xhtml+xml) [ -z "$format" ] && [ -s "$file" ] && ! is_binary ;;
    *) return 1 ;;
  esac
}
