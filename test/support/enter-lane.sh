#!/bin/sh
# The first process of a lane (see lanes.ts), which takes in whoever has lost its parent, and starts the others.
#
#   enter-lane.sh COMMAND…
set -eu

ip link set lo up
# Sockets, locks and process ids of the machine's own services stay out of sight.
resolver=$(readlink -m /etc/resolv.conf)
mount -t tmpfs -o mode=755 tmpfs /run
printf 'nameserver 10.0.2.3\n' >/run/lane-resolv.conf
case $resolver in
/run/*) mkdir -p "${resolver%/*}" && cp /run/lane-resolv.conf "$resolver" ;;
*) mount --bind /run/lane-resolv.conf "$resolver" ;;
esac

status=0
"$@" || status=$?
exit "$status"
