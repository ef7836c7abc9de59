#!/bin/sh
# Says what of the packages that a person installed in a notebook stands before the image's, and what no longer fits: once, after the
# image has become another. What was installed stays as it is.
#
#   CONTAINER    its name
#   COMMAND      what people type before a command in it
#   TIMEOUT      seconds
#   DOCKER_HOST  optional, as the docker command reads it
#
# stdout: one line. Exit: 0 done, 2 bad parameter. Whatever goes wrong here keeps no notebook from being used.
set -eu
topic="packages of ${CONTAINER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

check_container
check_timeout

# How many lines are shown.
shown=12

if ! have docker; then
  printf 'not looked over: there is no docker command here\n'
  exit 0
fi
# Where nothing was installed there is nothing to start Python for.
# shellcheck disable=SC2016 # for the container's shell
look='for folder in "$HOME"/.local/lib/*/site-packages/*; do
  [ ! -e "$folder" ] || exec /opt/gpubox/bin/gpubox-packages --once
done'
# What is printed there may have no end.
found=$({ briefly "$TIMEOUT" docker exec "$CONTAINER" /bin/sh -c "$look" 2>/dev/null || :; } | beginning 65536 | legible)
if [ -z "$found" ]; then
  printf 'nothing new\n'
  exit 0
fi
# The last line is the command that takes it back, which is suggested only where it can do nothing else.
mend=$(printf '%s\n' "$found" | sed -n '$s/^\(gpubox-packages reset[A-Za-z0-9 ._-]*\)$/\1/p')
lines=$(printf '%s\n' "$found" | grep -v '^gpubox-packages reset' || :)
count=$(printf '%s\n' "$lines" | wc -l)
say "what you installed with pip stays in front of the image's own packages:"
printf '%s\n' "$lines" | head -n "$shown" | show_lines
if [ "$count" -gt "$shown" ]; then say "and $((count - shown)) more:  $COMMAND gpubox-packages"; fi
if [ -n "$mend" ]; then say "the image's own instead:  $COMMAND $mend"; fi
printf '%s to know of\n' "$((count))"
