# Unpacks an archive beside where it will be, once its directory has been checked. Taken in by dataset.sh.
# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared with dataset.sh

# Exit status of unpacking where it is not the archive that is at fault.
HOST_PROBLEM=4

# --- what may be unpacked ---------------------------------------------------------------------------------------------

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
$1 == "n" { refuse($3 " has control characters in its name, or leads where one has") }
$1 == "e" { refuse($3 " is encrypted, and there is no password to give") }
$1 !~ /^[-dlh]$/ { refuse($3 " is neither a file nor a folder nor a link") }
path == "" && $1 != "d" || leaves($3) { refuse($3 " leads out of the folder") }
$1 == "l" && $4 == "" { refuse($3 " is a link whose target cannot be seen; bsdtar or python3 can") }
$1 == "l" && link_leaves(path, $4) { refuse($3 " is a link that leads out of the folder, to " $4) }
$1 == "h" && leaves($4) { refuse($3 " is a link that leads out of the folder, to " $4) }
$1 == "h" && plain($4) in links { refuse($3 " is another name of the link " $4 ", which would lead elsewhere from there") }
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

check() { awk "$CHECK" "$1" "$1"; }

# --- unpacking --------------------------------------------------------------------------------------------------------

# What is below runs in a subshell: "problem" is read when the hash is known, as the archive may not be the one asked for.
unusable() {
  {
    printf '%s\n' "$origin $1; nothing of it was put into place"
    sed 's/^/  /' "$state/unpack.log" 2>/dev/null | tail -n 5
  } >"$state/problem"
  exit 1
}

host_problem() {
  printf '%s\n' "$1" >"$state/problem"
  exit "$HOST_PROBLEM"
}

# Sets $archiver, and writes the archive's directory to "listing".
list_archive() {
  listed='' lacking_method=''
  for archiver in $archivers; do
    if [ "$kind" = zip ]; then lacking_method=$(lacks_method); fi
    if [ -n "$lacking_method" ]; then continue; fi
    listed=0
    list "$file" >"$state/listing" || listed=$?
    if [ "$listed" = 0 ]; then return; fi
    if [ "$listed" != "$UNSUPPORTED" ]; then break; fi
  done
  if [ "$kind" = zip ] && [ "$listed" = "$UNSUPPORTED" ]; then archiver=none; lacking_method=$(lacks_method); fi
  if [ -n "$lacking_method" ]; then
    echo "  for instance:  sudo apt-get install $(case $lacking_method in
      *"(method "[169]")") echo unzip ;;
      *) echo libarchive-tools ;;
    esac)" >"$state/unpack.log"
    unusable "is compressed by $lacking_method, which no program here unpacks"
  fi
  unusable "is not a $kind archive that can be read"
}

# Sets $entries, $files and $bytes, after a check of what is in "listing".
check_listing() {
  verdict=$(check "$state/listing")
  case $verdict in
    'ok '*) ;;
    *) unusable "is refused: $verdict" ;;
  esac
  read -r _ entries files bytes <<END
$verdict
END
}

# A file takes whole blocks, and an entry of its own in the table of files.
require_space_for_files() {
  needed=$((bytes + entries * 4096))
  lacking=$(shortage "$needed" "unpacking $files files needs $(megabytes "$needed")")
  if [ -n "$lacking" ]; then host_problem "$lacking"; fi
  inodes=$(free_inodes)
  if [ "${inodes:-0}" -gt 0 ] && [ "$entries" -gt "$inodes" ]; then
    host_problem "unpacking $origin makes $entries files and folders, and $ROOT/data has room for $inodes"
  fi
}

unpacked_bytes() { du -sk "$unpacked" 2>/dev/null | awk '{ printf "%.0f\n", $1 * 1024 }'; }

# The only folder at the top, or all of it. What macOS and Windows leave beside it is no part of a data set. Not by echo, which makes
# another path of a name with a backslash in it.
single_folder() {
  top=$(find "$unpacked" -mindepth 1 -maxdepth 1 ! -name __MACOSX ! -name '._*' ! -name .DS_Store \
    ! -name '[Tt]humbs.db' ! -name '[Dd]esktop.ini')
  if [ -d "$top" ] && [ ! -L "$top" ] && [ "$kind" != plain ]; then printf '%s\n' "$top"; else printf '%s\n' "$unpacked"; fi
}

# Of names that may hold line breaks.
count_files() { find "$1" ! -type d -print0 | lines_of_names | wc -l; }

unpack_archive() {
  : >"$state/unpack.log"
  # bsdtar takes a zip that lost its end for one that is still arriving, and is content with what it finds.
  if [ "$kind" = zip ] && ! tail -c 65557 "$file" | LC_ALL=C grep -aq "$(printf 'PK\005\006')"; then
    unusable "is not a zip archive that can be read: its end is missing"
  fi
  watch "reading what is in the archive"
  list_archive
  check_listing
  [ "$files" -gt 0 ] || unusable "holds no files"
  require_space_for_files
  unwatch

  say "unpacking $files files, $(megabytes "$bytes")"
  mkdir "$unpacked"
  watch "unpacked " unpacked_bytes "$bytes"
  unpack "$file" "$unpacked" >>"$state/unpack.log" 2>&1 || unusable "$(
    if grep -qi passphrase "$state/unpack.log"; then echo "is encrypted, and there is no password to give"; else
      echo "cannot be unpacked"
    fi
  )"
  chmod -R u+rwX,ug-s "$unpacked"
  found=$(count_files "$unpacked")
  [ "$found" -eq "$files" ] || unusable "holds $files files, of which $((found)) could be unpacked"
  check_tree
}

# A link that stayed inside the archive may not stay inside its single folder.
check_tree() {
  tree=$(single_folder)
  rm -rf "$tree/.gpubox.json"
  # shellcheck disable=SC2016 # for the inner shell
  (cd "$tree" && find . -type l -exec sh -c 'for link; do
    to=$(readlink "$link")
    case $link$to in
      *[[:cntrl:]]*) printf "n\t0\t%s\t\n" "$(printf %s "${link#./}" | tr "[:cntrl:]" "?")" ;;
      *) printf "l\t0\t%s\t%s\n" "${link#./}" "$to" ;;
    esac
  done' sh {} +) >"$state/listing"
  check_listing
  require_files "$(count_files "$tree")"
}

place_file() {
  mkdir "$unpacked"
  ln "$file" "$unpacked/$NAME" 2>/dev/null || cp "$file" "$unpacked/$NAME"
  require_files 1
}

# Where unpacking ends: "unpacked.files" has the number of files.
require_files() {
  if [ $(($1)) -ne "${FILES:-$(($1))}" ]; then
    : >"$state/unpack.log"
    unusable "has $(($1)) files, not the $FILES that are expected"
  fi
  echo $(($1)) >"$state/unpacked.files"
}
