#!/bin/sh
# Removes the home volume of a notebook that has left the configuration, or whose stack is torn down, where that is the stack's.
#
#   VOLUME   its name
#   OWNER    value of the label gpubox.owner, which no other stack has
#   DAEMON   identity of the daemon that it was made on; any other is left alone
#
# One of before there were owners has the label gpubox.stack alone. What has neither was put in its place by hand, with what somebody
# restored perhaps.
#
# stderr says what became of it. Exit: 0 removed, left or not there, 1 failed, 2 bad parameter.
set -eu
topic="volume ${VOLUME-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/daemon.sh
. ./daemon.sh

check_volume
if [ -z "${OWNER-}" ] || [ -z "${DAEMON-}" ]; then fail 2 "OWNER and DAEMON must be set"; fi

require_daemon "it was left"
label() { docker volume inspect --format "{{with .Labels}}{{index . \"$1\"}}{{end}}" "$VOLUME"; }

if ! owner=$(label gpubox.owner 2>&1); then
  case $owner in
    *[Nn]'o such volume'*) exit 0 ;;
    *) fail 1 "it was not removed: $owner" ;;
  esac
fi
by_hand="  to remove it all the same:  docker volume rm $VOLUME"
if [ -n "$owner" ] && [ "$owner" != "$OWNER" ]; then
  made_by=$(label gpubox.made-by)
  say "left, as it is another's${made_by:+ ($made_by)}"
  exit 0
fi
if [ -z "$owner" ] && [ -z "$(label gpubox.stack)" ]; then
  say "left, as it was not made by gpubox but put there by hand"
  say "$by_hand"
  exit 0
fi
if ! said=$(docker volume rm "$VOLUME" 2>&1); then
  users=$(docker ps --all --filter "volume=$VOLUME" --format '{{.Names}}' | tr '\n' ' ')
  if [ -n "$users" ]; then fail 1 "it is used by ${users% }: remove that, with \`docker rm -f ${users% }\`, and run the same again"; fi
  fail 1 "it was not removed: $said"
fi
