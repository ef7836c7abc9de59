#!/bin/sh
# Puts the data volume of a machine at the stack's root, now and at every start. A volume that holds nothing is formatted; one
# that holds anything is used as it is, and its file system is grown to the volume's size.
#
#   ROOT      where it goes: absolute, or "~/..."
#   VOLUME    id of the volume, vol-...
#   SIZE      GB that the volume has been given
#   TIMEOUT   seconds that the device may take to show up, and to have that size
#   DEVICES   optional, folder of the links to disks by name
#   ETC       optional, folder of the system's configuration
#   RUN       optional, folder of what runs
#
# stdout: ROOT as an absolute path. Exit: 0 mounted, 1 failed, 2 bad parameter, 3 the person's files are in the way.
set -eu
topic="volume ${VOLUME-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/grow.sh
. ./grow.sh

check_timeout
check_size
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

# The disk's name holds the volume's id, whatever the kernel calls it this time; a link appears once the disk is attached. Newer
# versions of systemd add a namespace to the name. An instance's own disks, which lose what is on them, have other names.
link=${DEVICES:-/dev/disk/by-id}/nvme-Amazon_Elastic_Block_Store_$(printf '%s' "$VOLUME" | tr -d -)
attached() {
  for name in "$link" "${link}_1"; do
    if [ -e "$name" ]; then readlink -f "$name" && return; fi
  done
  return 1
}
waited=0
until device=$(attached); do
  if [ "$waited" -ge "$TIMEOUT" ]; then fail 1 "not attached after $waited s: there is no $link"; fi
  sleep 1
  waited=$((waited + 1))
done

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
changed=
if ! grep -qxF "$line" "$etc/fstab" 2>/dev/null; then
  { grep -vF " $ROOT " "$etc/fstab" 2>/dev/null || :; printf '%s\n' "$line"; } | as_root tee "$etc/fstab.gpubox" >/dev/null
  as_root mv "$etc/fstab.gpubox" "$etc/fstab"
  changed=1
fi
docker=$etc/systemd/system/docker.service.d
unit="[Unit]
RequiresMountsFor=$ROOT"
if [ "$(cat "$docker/gpubox.conf" 2>/dev/null)" != "$unit" ]; then
  as_root mkdir -p "$docker"
  printf '%s\n' "$unit" | as_root tee "$docker/gpubox.conf" >/dev/null
  changed=1
fi
# Only then: a reload takes the GPUs away from notebooks that run, where systemd does not know of them.
if [ -n "$changed" ] && have systemctl && [ -d "${RUN:-/run}/systemd/system" ]; then as_root systemctl daemon-reload; fi

mkdir -p "$ROOT"
if [ -z "$at" ]; then as_root mount -t "$type" "$device" "$ROOT"; fi
as_root chown "$(id -u):$(id -g)" "$ROOT"
wait_for_size "$device" "gpubox:host.dataVolume"
grow_file_system "$type" "$device" "$ROOT"
printf '%s\n' "$ROOT"
