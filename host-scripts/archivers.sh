# What unpacks an archive: python3, bsdtar, tar or unzip. Taken in by dataset.sh.
# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared with dataset.sh

# --- which programs there are -----------------------------------------------------------------------------------------

# find_archivers KIND: sets $archivers, best first: the same program lists and unpacks, so that what was checked is what gets
# written. Of a zip python3 unpacks several files at once.
find_archivers() {
  archivers=
  if have bsdtar; then
    archivers=bsdtar
  elif have tar && tar --version 2>/dev/null | grep -q bsdtar; then
    archivers=tar
  elif [ "$1" = tar ] && have tar && tar --version 2>/dev/null | grep -q 'GNU tar'; then
    archivers=tar
  fi
  if have python3; then
    if [ "$1" = zip ]; then archivers="python3 $archivers"; else archivers="$archivers python3"; fi
  fi
  if [ "$1" = zip ] && have unzip; then archivers="$archivers unzip"; fi

  # bsdtar on macOS would turn the ._ files of an archive into attributes instead of files.
  export COPYFILE_DISABLE=1
  # Names in an archive are UTF-8; without a locale that says so bsdtar and unzip mangle them.
  for locale in C.UTF-8 C.utf8 en_US.UTF-8; do
    if [ "$(LC_ALL=$locale locale charmap 2>/dev/null)" = UTF-8 ]; then
      export LC_ALL=$locale
      break
    fi
  done
}

require_archivers() {
  find_archivers "$kind"
  case $archivers in
    *[a-z]*) ;;
    *)
      fail 1 "needs bsdtar, python3$([ "$kind" = zip ] && echo ' or unzip') to unpack $NAME" \
        "  for instance:  sudo apt-get install libarchive-tools"
      ;;
  esac
}

# list ARCHIVE: a line for each entry, "kind<tab>bytes<tab>path<tab>link target"; kinds as in ls -l, h for a hard link, e for
# what is encrypted, n for a name that makes no line, ? for what no data set needs. Exit status $UNSUPPORTED where another archiver may read it.
# unpack ARCHIVE FOLDER: with the person's ownership and umask, whatever the archive says.
list() {
  case $archiver in
    python3) python3 -c "$PYTHON" list "$1" 2>"$state/unpack.log" ;;
    unzip) list_by_unzip "$1" ;;
    *) list_by_tar "$1" ;;
  esac
}
unpack() {
  case $archiver in
    python3) python3 -c "$PYTHON" unpack "$1" "$2" ;;
    unzip) unzip -qo -P '' "$1" -d "$2" </dev/null ;;
    *)
      # Without a passphrase it would ask for one.
      if [ "$kind" = zip ]; then set -- "$1" "$2" --passphrase none; fi
      archive=$1 folder=$2
      shift 2
      "$archiver" -xf "$archive" -C "$folder" --no-same-owner --no-same-permissions "$@"
      ;;
  esac
}

# The first path in a tar, compressed or not; nothing where it is none.
first_of_tar() {
  case $archiver in
    python3) python3 -c "$PYTHON" list "$1" ;;
    *) "$archiver" -tf "$1" ;;
  esac 2>/dev/null | head -n 1
}

# --- how a zip is compressed ------------------------------------------------------------------------------------------

# The numbers of a file, a byte each.
octets() { od -An -v -tu1; }

# Reads the end of a zip: where in it the directory begins, counted from the end of the file, and how long it is. In a zip64 that is
# in the record before the last.
# shellcheck disable=SC2016 # the dollars are awk's
ZIP_END='
function number(at, count,   n) { while (count--) n = n * 256 + octet[at + count]; return n }
{ for (i = 1; i <= NF; i++) octet[++length_] = $i }
END {
  for (at = length_ - 21; at > 0; at--) if (number(at, 4) == 101010256) break
  if (at <= 0) exit
  bytes = number(at + 12, 4)
  if (at > 76 && number(at - 20, 4) == 117853008 && number(at - 76, 4) == 101075792) {
    at -= 76
    bytes = number(at + 40, 8)
  }
  printf "%.0f %.0f\n", length_ - at + 1 + bytes, bytes
}'

# Reads the directory of a zip: a line for each method of compression, without those of what is encrypted.
# shellcheck disable=SC2016 # the dollars are awk's
ZIP_METHODS='
{
  for (i = 1; i <= NF; i++) {
    if (skip >= NF - i + 1) { skip -= NF - i + 1; break }
    i += skip
    skip = 0
    field[place++] = $i
    if (place < 46) continue
    if (field[8] % 2 == 0) method[field[10] + 256 * field[11]] = 1
    skip = field[28] + field[30] + field[32] + 256 * (field[29] + field[31] + field[33])
    place = 0
  }
}
END { for (each in method) print each }'

# zip_methods FILE: the methods of compression in it, as numbers. Nothing where they cannot be found out.
zip_methods() {
  tail -c 65557 "$1" | octets | LC_ALL=C awk "$ZIP_END" | while read -r from_end bytes; do
    tail -c "$from_end" "$1" | head -c "$bytes" | octets | LC_ALL=C awk "$ZIP_METHODS"
  done
}

# method METHOD: its number, and its name if it has one.
method() {
  case $1 in
    1) echo "shrinking (method 1)" ;;
    6) echo "imploding (method 6)" ;;
    9) echo "Deflate64 (method 9)" ;;
    12) echo "bzip2 (method 12)" ;;
    14) echo "LZMA (method 14)" ;;
    93) echo "Zstandard (method 93)" ;;
    95) echo "xz (method 95)" ;;
    98) echo "PPMd (method 98)" ;;
    *) echo "method $1" ;;
  esac
}

# Prints a method of the zip $file that $archiver would fail at when it is too late: bsdtar and unzip list what they cannot unpack.
# python3 looks by itself.
lacks_method() {
  case $archiver in
    python3) return ;;
    unzip) known=' 0 1 6 8 9 12 ' ;;
    none) known=' 0 8 ' ;;
    *) known=' 0 8 12 14 93 95 98 ' ;;
  esac
  for method in $(zip_methods "$file"); do
    case $known in *" $method "*) ;; *) method "$method" && return ;; esac
  done
}

# --- what unpacks it --------------------------------------------------------------------------------------------------

UNSUPPORTED=5
PYTHON='
import contextlib, os, shutil, stat, struct, sys, tarfile, zipfile, zlib

UNSUPPORTED = 5
LARGE = 16 << 20

def entry(kind, size, path, target=""):
    if any(ord(c) < 32 or ord(c) == 127 for c in path + target):
        kind, path, target = "n", ascii(path), ""
    sys.stdout.buffer.write(os.fsencode("\t".join([kind, str(size), path, target]) + "\n"))

def reason(error):
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

# Where an entry is written: below here. It is behind no link either, as those are made when all else is written.
def inside(path):
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError("it leads out of the folder")
    return os.path.normpath(path)

def create(path, executable):
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return open(os.open(path, flags, 0o755 if executable else 0o644), "wb", buffering=0)

# The name in the extra field that WinRAR and Info-ZIP write (0x7075), as long as it is of the name in the header.
def unicode_path(extra, name):
    while len(extra) >= 4:
        tag, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4:4 + size], extra[4 + size:]
        if tag == 0x7075 and field[:1] == b"\1" and field[1:5] == struct.pack("<L", zlib.crc32(name)):
            return field[5:].decode("utf-8")

def zip_path(info):
    path = info.orig_filename
    marked = info.flag_bits & 0x800
    name = path.encode("utf-8" if marked else "cp437")
    try:
        # macOS and others write UTF-8 without saying so.
        path = unicode_path(info.extra, name) or (path if marked else name.decode("utf-8"))
    except UnicodeError:
        pass
    # Some programs on Windows write its own separator.
    return path.replace("\\", "/") if info.create_system == 0 else path

def zip_kind(info):
    unix = stat.S_IFMT(info.external_attr >> 16) if info.create_system == 3 else 0
    if info.flag_bits & 1:
        return "e"
    if unix == stat.S_IFLNK:
        return "l"
    if unix not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "?"
    return "d" if zip_path(info).endswith("/") else "-"

# No path is longer than what is read here.
def zip_link(archive, info):
    with archive.open(info) as target:
        return target.read(4097).decode("utf-8", "surrogateescape")

def list_zip(archive):
    with zipfile.ZipFile(archive) as z:
        readable = {info.compress_type: info for info in z.infolist() if not info.flag_bits & 1}
        for info in readable.values():
            try:
                z.open(info).close()
            except NotImplementedError as error:
                print(error, file=sys.stderr)
                sys.exit(UNSUPPORTED)
        for info in z.infolist():
            kind = zip_kind(info)
            entry(kind, info.file_size, zip_path(info), zip_link(z, info) if kind == "l" else "")

# The bytes of an entry, checked. What zipfile itself does, at half the cost for a small file.
def zip_content(source, info):
    header = os.pread(source, 30, info.header_offset)
    if header[:4] != b"PK\3\4":
        raise zipfile.BadZipFile("its header is not where the directory says")
    name, extra = struct.unpack("<26xHH", header)
    content = os.pread(source, info.compress_size, info.header_offset + 30 + name + extra)
    if info.compress_type == zipfile.ZIP_DEFLATED:
        content = zlib.decompressobj(-15).decompress(content, info.file_size + 1)
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile("its checksum is wrong")
    return content

def write_files(archive, files):
    source = os.open(archive, os.O_RDONLY)
    opened = zipfile.ZipFile(archive) if any(large for _, _, large in files) else None
    for path, info, large in files:
        try:
            with create(path, info.create_system == 3 and info.external_attr >> 16 & 0o111) as file:
                if large:
                    with opened.open(info) as content:
                        shutil.copyfileobj(content, file, 1 << 20)
                else:
                    rest = memoryview(zip_content(source, info))
                    while rest:
                        rest = rest[file.write(rest):]
        except Exception as error:
            print(path + ": " + reason(error), file=sys.stderr, flush=True)
            return 1
    return 0

def unpack_zip(archive, folder):
    archive = os.path.abspath(archive)
    os.chdir(folder)
    with zipfile.ZipFile(archive) as z:
        # Of two entries with one path the last counts.
        entries = {inside(zip_path(info)): info for info in z.infolist()}
        folders = {path if zip_kind(info) == "d" else os.path.dirname(path) for path, info in entries.items()}
        for path in sorted(folders - {""}):
            os.makedirs(path, exist_ok=True)
        files = []
        for path, info in entries.items():
            if zip_kind(info) == "-":
                simple = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                files.append((path, info, not simple or max(info.file_size, info.compress_size) > LARGE))
        workers = min(os.cpu_count() or 1, 16, len(files) // 50 + 1)
        children = []
        for n in range(workers):
            child = os.fork()
            if child == 0:
                os._exit(write_files(archive, files[n::workers]))
            children.append(child)
        failed = [child for child in children if os.waitpid(child, 0)[1] != 0]
        if failed:
            sys.exit(1)
        for path, info in entries.items():
            if zip_kind(info) == "l":
                os.symlink(zip_link(z, info), path)

def list_tar(archive):
    with tarfile.open(archive) as t:
        for m in t:
            kind = "d" if m.isdir() else "l" if m.issym() else "h" if m.islnk() else "-" if m.isfile() else "?"
            entry(kind, m.size, m.name, m.linkname)

# Not by extractall: before 3.12 it writes through links.
def unpack_tar(archive, folder):
    archive = os.path.abspath(archive)
    os.chdir(folder)
    links = {}
    with tarfile.open(archive) as t:
        for m in t:
            try:
                unpack_member(t, m, inside(m.name), links)
            except Exception as error:
                sys.exit(m.name + ": " + reason(error))
    for path, target in links.items():
        os.symlink(target, path)

def unpack_member(t, m, path, links):
    if m.isdir():
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if m.islnk() and inside(m.linkname) == path:
        return
    # Of two entries with one path the last counts.
    links.pop(path, None)
    if os.path.lexists(path):
        os.unlink(path)
    if m.issym():
        links[path] = m.linkname
    elif m.islnk():
        os.link(inside(m.linkname), path)
    else:
        with create(path, m.mode & 0o111) as file:
            shutil.copyfileobj(t.extractfile(m), file, 1 << 20)
        with contextlib.suppress(OSError, OverflowError, ValueError):
            os.utime(path, (m.mtime, m.mtime))

action, archive = sys.argv[1:3]
try:
    is_zip = zipfile.is_zipfile(archive)
    if action == "list":
        (list_zip if is_zip else list_tar)(archive)
    else:
        (unpack_zip if is_zip else unpack_tar)(archive, sys.argv[3])
except Exception as error:
    sys.exit(reason(error))
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
  if (kind != "l" && (at = index($0, path[FNR] " link to ")) > 0) { kind = "h"; target = substr($0, at + length(path[FNR]) + 9); size = 0 }
  printf "%s\t%s\t%s\t%s\n", kind, size, path[FNR], target
}
'

# Both listings at once: each reads, and decompresses, all of the archive.
list_by_tar() {
  "$archiver" -P -tf "$1" >"$state/names" 2>/dev/null &
  names=$!
  "$archiver" -P --numeric-owner -tvf "$1" >"$state/details" 2>"$state/unpack.log" || { wait "$names" || :; return 1; }
  wait "$names" && awk "$TAR_LISTING" "$state/names" "$state/details"
}

# zipinfo does not show where a link leads, and a link without a target is refused below. B and T are what is encrypted.
list_by_unzip() {
  unzip -Z1 "$1" >"$state/names" 2>"$state/unpack.log" && unzip -Zs "$1" >"$state/details" 2>>"$state/unpack.log" &&
    sed -e 1,2d -e '$d' "$state/details" | awk 'FNR == NR { path[FNR] = $0; next }
      { printf "%s\t%s\t%s\t\n", $5 ~ /^[BT]/ ? "e" : substr($0, 1, 1), $4, path[FNR] }' "$state/names" -
}
