#!/bin/sh
# Removes the containers, networks and volumes of one stack from this machine's Docker daemon. Images, code and data stay.
#
#   STACK    its name, for messages
#   OWNER    value of the label gpubox.owner, which no other stack has
#   DAEMON   identity of the daemon that the stack was put on; any other is left alone
#
# stderr says what was removed. Exit: 0 done or nothing there, 1 failed, 2 bad parameter.
set -eu
topic="stack ${STACK-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/daemon.sh
. ./daemon.sh

for value in "${STACK-}" "${OWNER-}" "${DAEMON-}"; do
  # An empty value would be a filter that lets everything through.
  if [ -z "$value" ]; then fail 2 "STACK, OWNER and DAEMON must be set"; fi
done

require_daemon "nothing was removed"

# ours KIND...: ids of what the stack has. Not by its name: one that was renamed has things of its old name as well.
ours() { docker "$@" --quiet --filter "label=gpubox.owner=$OWNER"; }

count() { printf '%s' "$1" | grep -c . || :; }

containers=$(ours ps --all --no-trunc)
if [ -n "$containers" ]; then
  # Jupyter gets the time to stop its kernels.
  # shellcheck disable=SC2086 # one word each
  docker stop --time 20 $containers >/dev/null || :
  # shellcheck disable=SC2086
  docker rm --force --volumes $containers >/dev/null
fi
networks=$(ours network ls)
# shellcheck disable=SC2086
if [ -n "$networks" ]; then docker network rm $networks >/dev/null; fi
volumes=$(ours volume ls)
# shellcheck disable=SC2086
if [ -n "$volumes" ]; then docker volume rm $volumes >/dev/null; fi
say "removed: $(count "$containers") containers, $(count "$networks") networks, $(count "$volumes") volumes"
