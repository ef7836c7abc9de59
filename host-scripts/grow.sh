# How a disk that AWS has made larger is made use of. Taken in by mount-volume.sh and grow-root.sh.
# shellcheck shell=sh disable=SC2154 # SIZE and TIMEOUT are parameters of the script that takes this in
#
#   SIZE      GB (2^30 bytes, as EBS counts them) that the disk has been given
#   TIMEOUT   seconds

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# Folders that only root's PATH has are looked through as well.
root_has() { as_root sh -c "command -v $1" >/dev/null 2>&1; }

check_size() {
  case ${SIZE-} in
    '' | *[!0-9]* | 0* | ??????*) fail 2 "size: '${SIZE-}' is not a number of GB" ;;
  esac
}

gigabytes() { awk -v bytes="$1" 'BEGIN { text = sprintf("%.1f", bytes / 2 ^ 30); sub(/\.0$/, "", text); print text " GB" }'; }

disk_bytes() { as_root blockdev --getsize64 "$1"; }

# wait_for_size DISK KEY: EBS is asked first, and the kernel hears of it a little later. KEY of the configuration has the size.
wait_for_size() {
  began=$(date +%s)
  told=0
  until bytes=$(disk_bytes "$1" 2>/dev/null) && [ "$bytes" -ge $((SIZE * 1073741824)) ]; do
    waited=$(($(date +%s) - began))
    if [ "$waited" -ge "$TIMEOUT" ]; then
      fail 1 "$1 has $(gigabytes "${bytes:-0}") after $waited s, and AWS has given it $SIZE GB ($2); what is on it is safe, and nothing was changed" \
        "  AWS may need longer: run the same again later; a machine that was stopped and started (npm run stop, npm start) has the new size"
    fi
    if [ "$waited" -ge $((told + 10)) ]; then
      say "waiting for its $SIZE GB, $waited of $TIMEOUT s: $1 has $(gigabytes "${bytes:-0}") so far"
      told=$waited
    fi
    sleep 1
  done
}

# file_system_bytes TYPE DEVICE FOLDER: the whole of it, of which `df` shows what can be filled.
file_system_bytes() {
  case $1 in
    ext[234]) as_root dumpe2fs -h "$2" 2>/dev/null | awk -F: '/^Block count:/ { n = $2 } /^Block size:/ { size = $2 } END { printf "%.0f", n * size }' ;;
    xfs) as_root xfs_info "$3" | awk -F '[= ]+' '$1 == "data" { printf "%.0f", $3 * $5 }' ;;
  esac
}

# grow_file_system TYPE DEVICE FOLDER: to all of the device, while it is mounted at the folder. Says so where it has grown.
grow_file_system() {
  case $1 in
    ext[234]) tool=resize2fs argument=$2 package=e2fsprogs ;;
    xfs) tool=xfs_growfs argument=$3 package=xfsprogs ;;
    *) tool= ;;
  esac
  if [ -z "$tool" ] || ! root_has "$tool"; then
    shown=$(df -Pk "$3" | awk 'NR == 2 { printf "%.0f", $2 * 1024 }')
    bytes=$(disk_bytes "$2")
    # What a file system keeps for itself is not shown: that is less than a tenth.
    if [ "$shown" -ge $((bytes * 9 / 10)) ]; then return; fi
    if [ -n "$tool" ]; then
      fail 1 "its file system ($1) has $(gigabytes "$shown") of the $(gigabytes "$bytes"), and $tool, which would grow it, is not on the machine" \
        "  on the machine:  sudo apt-get install $package"
    fi
    say "note: its file system ($1) has $(gigabytes "$shown") of the $(gigabytes "$bytes") and is left alone: gpubox grows ext4 and xfs, and $1 has a tool of its own"
    return
  fi
  before=$(file_system_bytes "$@")
  # What goes wrong is on stderr; stdout, which is held back in a pipe, would come after it.
  if ! said=$(as_root "$tool" "$argument" 2>&1 >/dev/null); then
    fail 1 "its file system could not be grown; what is on it is safe. $tool says: $(printf '%s\n' "$said" | tail -n 1)" \
      "  try it on the machine:  sudo $tool $argument"
  fi
  after=$(file_system_bytes "$@")
  if [ "$after" -gt "$before" ]; then say "grown from $(gigabytes "$before") to $(gigabytes "$after")"; fi
}
