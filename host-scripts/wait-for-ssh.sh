#!/bin/sh
# Waits, on the person's own machine, until a machine that was just made can be logged in to.
#
#   CONNECT   a command line for sh that logs in and out again
#   ADDRESS   of the machine, for the messages
#   TIMEOUT   seconds
#
# stdout: "reachable after N s". Exit: 0 reachable, 1 not in time, 2 bad parameter.
set -eu
topic="ssh to ${ADDRESS-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

check_timeout
if [ -z "${CONNECT-}" ]; then fail 2 "connect: no command is given"; fi

started=$(date +%s)
told=0
# Refused, no answer, and a key that is not there yet are all part of a machine's first minute.
until said=$(sh -c "$CONNECT" 2>&1 </dev/null); do
  waited=$(($(date +%s) - started))
  last=$(printf '%s\n' "$said" | tail -n 1)
  if [ "$waited" -ge "$TIMEOUT" ]; then
    fail 1 "not let in after $waited s: $last" "  try it by hand:  $CONNECT" \
      "  is your address still the one that the firewall lets in (gpubox:host.sshCidr)?"
  fi
  if [ "$waited" -ge $((told + 10)) ]; then
    say "waiting, $waited of $TIMEOUT s: $last"
    told=$waited
  fi
  sleep 2
done
printf 'reachable after %s s\n' $(($(date +%s) - started))
