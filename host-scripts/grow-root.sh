#!/bin/sh
# Makes use of a system disk that AWS has made larger, on a machine that runs: grows its partition and its file system. Without
# this a machine does it by itself at its next start.
#
#   ROOT_SIZE   GB that the disk has been given
#   TIMEOUT     seconds that it may take to have that size
#   MOUNT       optional, where its file system is mounted instead of /
#
# stdout: "the system disk has N GB". Exit: 0 done, or left for the next start, 1 failed, 2 bad parameter.
set -eu
topic="system disk"
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/grow.sh
. ./grow.sh

check_timeout
SIZE=${ROOT_SIZE-}
check_size
folder=${MOUNT:-/}

# A subvolume is named behind the device.
device=$(findmnt -nvo SOURCE --mountpoint "$folder" | tail -n 1)
type=$(findmnt -no FSTYPE --mountpoint "$folder" | tail -n 1)
if [ ! -b "$device" ]; then
  say "$folder is on no disk of its own (${device:-nothing is mounted there}): nothing to grow"
  exit 0
fi

kind=$(lsblk -dno TYPE "$device")
case $kind in
  part)
    disk=/dev/$(lsblk -dno PKNAME "$device")
    partition=$(cat "/sys/class/block/${device##*/}/partition")
    ;;
  disk | loop) disk=$device partition= ;;
  *)
    say "note: $folder is on $device ($kind), which gpubox does not grow: use the tool that $kind has for that, on the machine"
    exit 0
    ;;
esac
wait_for_size "$disk" "gpubox:host.rootSize"

if [ -n "$partition" ]; then
  # Bytes behind the partition. Its numbers count sectors of 512 bytes, whatever the disk's have.
  sys=/sys/class/block/${device##*/}
  left=$(($(disk_bytes "$disk") - ($(cat "$sys/start") + $(cat "$sys/size")) * 512))
  # What a table of partitions has at the disk's end, and what growpart would not bother with.
  if [ "$left" -gt 2097152 ]; then
    if ! root_has growpart; then
      say "note: there is no growpart on this machine (package cloud-guest-utils), so $(gigabytes "$left") of $disk are for its next start to take: npm run stop, then npm start"
      exit 0
    fi
    # A disk that is full has no room for its files. It ends with 1 where another partition is in the way.
    status=0
    said=$(as_root env TMPDIR=/run growpart "$disk" "$partition" 2>&1) || status=$?
    case $status in
      0) ;;
      1) say "note: partition $partition of $disk was not grown: $(printf '%s\n' "$said" | tail -n 1)" ;;
      *)
        fail 1 "partition $partition of $disk could not be grown; what is on it is safe. growpart says: $(printf '%s\n' "$said" | tail -n 1)" \
          "  the machine tries it again at its next start (npm run stop, npm start), or by hand:  sudo growpart $disk $partition"
        ;;
    esac
  fi
fi
grow_file_system "$type" "$device" "$folder"
printf 'the system disk has %s\n' "$(gigabytes "$(disk_bytes "$disk")")"
