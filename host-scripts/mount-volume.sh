#!/bin/sh
# Puts the data volume of a machine at the stack's root, now and at every start. A volume that holds nothing is formatted; one
# that holds anything is used as it is.
#
#   ROOT      where it goes: absolute, or "~/..."
#   VOLUME    id of the volume, vol-...
#   TIMEOUT   seconds that the device may take to show up
#   DEVICES   optional, folder of the links to disks by name
#   ETC       optional, folder of the system's configuration
#
# stdout: ROOT as an absolute path. Exit: 0 mounted, 1 failed, 2 bad parameter, 3 the person's files are in the way.
set -eu
topic="volume ${VOLUME-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

check_timeout
case ${VOLUME-} in
  *[!a-z0-9-]*) fail 2 "volume: '$VOLUME' is not the id of a volume" ;;
  vol-?*) ;;
  *) fail 2 "volume: '${VOLUME-}' is not the id of a volume" ;;
esac
absolute_root
case $ROOT in
  *[!A-Za-z0-9_./-]*) fail 2 "root: '$ROOT' has characters that /etc/fstab cannot take as they are" ;;
  / | "$HOME") fail 2 "root: '$ROOT' must be a folder of its own: a volume there would hide what is in it" ;;
esac
etc=${ETC:-/etc}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# The disk's name holds the volume's id, whatever the kernel calls it this time; a link appears once the disk is attached.
link=${DEVICES:-/dev/disk/by-id}/nvme-Amazon_Elastic_Block_Store_$(printf '%s' "$VOLUME" | tr -d -)
waited=0
until [ -e "$link" ]; do
  if [ "$waited" -ge "$TIMEOUT" ]; then fail 1 "not attached after $waited s: there is no $link"; fi
  sleep 1
  waited=$((waited + 1))
done
device=$(readlink -f "$link")

mounted_at() { awk -v path="$1" '$2 == path { print $1 }' /proc/mounts | tail -n 1; }

at=$(mounted_at "$ROOT")
if [ -n "$at" ] && [ "$at" != "$device" ]; then fail 3 "$at is mounted at $ROOT already"; fi
if [ -z "$at" ] && [ -n "$(ls -A "$ROOT" 2>/dev/null)" ]; then
  fail 3 "$ROOT holds files, which the volume would hide" "  move them away:  mv $(quoted "$ROOT") $(quoted "$ROOT.mine")"
fi

# blkid ends with 2 where it recognizes nothing. That alone does not make a disk empty: it also says so where it may not read,
# and of what it does not know. Only zeroes are nothing.
if ! type=$(as_root blkid -p -s TYPE -o value "$device"); then
  if ! as_root cmp -s -n 67108864 "$device" /dev/zero; then
    fail 3 "$device holds something that is no file system: it is left alone" \
      "  look at it:  sudo blkid -p $device; sudo fdisk -l $device"
  fi
  say "empty: formatting it"
  as_root mkfs.ext4 -q -L gpubox "$device"
  type=ext4
fi

# Docker must not start without it: the notebooks would write to the system disk below it, and lose that with the machine.
if [ -z "$type" ]; then fail 3 "$device has partitions: it is left alone"; fi
uuid=$(as_root blkid -p -s UUID -o value "$device")
line="UUID=$uuid $ROOT $type defaults,nofail,x-systemd.device-timeout=60s 0 2"
if ! grep -qxF "$line" "$etc/fstab" 2>/dev/null; then
  { grep -v " $ROOT " "$etc/fstab" 2>/dev/null || :; printf '%s\n' "$line"; } | as_root tee "$etc/fstab.gpubox" >/dev/null
  as_root mv "$etc/fstab.gpubox" "$etc/fstab"
fi
as_root mkdir -p "$etc/systemd/system/docker.service.d"
printf '[Unit]\nRequiresMountsFor=%s\n' "$ROOT" |
  as_root tee "$etc/systemd/system/docker.service.d/gpubox.conf" >/dev/null
if have systemctl && [ -d /run/systemd/system ]; then as_root systemctl daemon-reload; fi

mkdir -p "$ROOT"
if [ -z "$at" ]; then as_root mount -t "$type" "$device" "$ROOT"; fi
# The volume may have been made larger since.
if [ "$type" = ext4 ]; then as_root resize2fs "$device" >/dev/null 2>&1 || say "note: its file system could not be grown"; fi
as_root chown "$(id -u):$(id -g)" "$ROOT"
printf '%s\n' "$ROOT"
