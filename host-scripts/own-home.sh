#!/bin/sh
# Makes a new home volume the person's, before the container that uses it is started: in an image without a folder in that place, a
# volume is root's, and nobody else can write to it.
#
#   VOLUME   its name
#   HOME_IN  where containers have it
#   IMAGE    an image that is there; nothing of it is run
#   RUNS_AS  uid:gid that containers will run as
#   USERNS   optional: "host" where they are to have the host's ids, which the daemon would keep from them
#   OWNER    value of the label gpubox.owner: what a killed run leaves is cleared away by it
#   STACK    value of the label gpubox.stack
#
# Exit: 0 done, 1 failed, 2 bad parameter.
set -eu
topic="volume ${VOLUME-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

check_volume
case ${HOME_IN-} in
  /*/?*) ;;
  *) fail 2 "HOME_IN: '${HOME_IN-}' is no folder in another" ;;
esac
if [ -z "${IMAGE-}" ] || [ -z "${OWNER-}" ] || [ -z "${STACK-}" ]; then fail 2 "IMAGE, OWNER and STACK must be set"; fi
case ${RUNS_AS-} in
  *[!0-9:]* | *:*:*) fail 2 "RUNS_AS: '$RUNS_AS' is not uid:gid" ;;
  [0-9]*:*[0-9]) ;;
  *) fail 2 "RUNS_AS: '${RUNS_AS-}' is not uid:gid" ;;
esac
case ${USERNS-} in
  '' | host) ;;
  *) fail 2 "USERNS: '$USERNS' is not host" ;;
esac
have docker || fail 1 "needs the docker command" "  for instance:  sudo apt-get install docker-cli"
have tar || fail 1 "needs tar" "  for instance:  sudo apt-get install tar"

scratch=$(mktemp -d)
container=
clean() {
  rm -rf "$scratch"
  if [ -n "$container" ]; then docker rm --force "$container" >/dev/null 2>&1 || :; fi
}
trap clean EXIT

# A folder is copied onto it: that takes no program of the image's, and nobody's rights but the daemon's. As a rule it keeps whose it
# is. Where the daemon gives files other ids than those in the copy, it is asked to make it the container's user's (-a), whom it looks
# up by name on its host: root is the person in a rootless one.
set --
archive=
if [ "$RUNS_AS${USERNS-}" != "$(id -u):$(id -g)" ]; then
  if [ "${RUNS_AS%:*}" = 0 ]; then name=root; else name=$(id -un 2>/dev/null) || name=${RUNS_AS%:*}; fi
  set -- --user "$name" ${USERNS:+--userns "$USERNS"}
  archive=-a
fi
mkdir -m 755 "$scratch/${HOME_IN##*/}"
container=$(docker create --network none "$@" --label "gpubox.owner=$OWNER" --label "gpubox.stack=$STACK" \
  --volume "$VOLUME:$HOME_IN" "$IMAGE" none 2>"$scratch/said") ||
  fail 1 "it could not be made yours: $(tail -n 1 "$scratch/said")"
tar -C "$scratch" -cf - "${HOME_IN##*/}" | docker cp ${archive:+"$archive"} - "$container:${HOME_IN%/*}" 2>"$scratch/said" ||
  fail 1 "it could not be made yours: $(tail -n 1 "$scratch/said")"
printf '%s is the home folder of %s\n' "$VOLUME" "$RUNS_AS"
