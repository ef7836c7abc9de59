#!/bin/sh
# Waits until a machine that was just made has set itself up: cloud-init is through, Docker answers, and so does the GPU's driver.
#
#   SENTINEL   file that the machine's own set-up makes at its end
#   GPU        1 where the machine has a GPU, else empty
#   TIMEOUT    seconds
#
# stdout: "ready after N s". Exit: 0 ready, 1 not ready, 2 bad parameter.
set -eu
topic=machine
# shellcheck source=host-scripts/common.sh
. ./common.sh

check_timeout
case ${SENTINEL-} in
  /*) ;;
  *) fail 2 "sentinel: '${SENTINEL-}' is not an absolute path" ;;
esac

started=$(date +%s)
waited() { echo $(($(date +%s) - started)); }
# What hangs must not hold up the clock.
as_root() { if [ "$(id -u)" = 0 ]; then briefly 30 "$@"; else briefly 30 sudo -n "$@"; fi; }

# give_up WHAT ADVICE: with what the machine's own set-up says.
give_up() {
  say "$1 after $(waited) s"
  if have cloud-init; then
    say "what cloud-init says:"
    { cloud-init status --long || :; } 2>&1 | sed 's/^/| /' | show_lines
  fi
  as_root tail -n 20 /var/log/cloud-init-output.log 2>/dev/null | sed 's/^/| /' | show_lines
  fail 1 "$2"
}
again="what is late may still come: run the same command again, which goes on waiting; /var/log/cloud-init-output.log on the machine has all of it"
anew="look at /var/log/cloud-init-output.log on the machine; a new one is made by \`npm run pulumi -- up --replace\` of the instance"
reboot="its packages were upgraded since the machine started, and the kernel has the old driver: npm run stop, then npm start"

# until_ok WHAT COMMAND...: again and again until the command succeeds.
until_ok() {
  what=$1
  shift
  told=$(waited)
  until said=$("$@" 2>&1); do
    case $said in *'Driver/library version mismatch'*) give_up "$what: $said;" "$reboot" ;; esac
    if [ "$(waited)" -ge "$TIMEOUT" ]; then give_up "$what: $(printf '%s\n' "$said" | tail -n 2);" "$again"; fi
    if [ "$(waited)" -ge $((told + 10)) ]; then
      told=$(waited)
      say "waiting for $what, $told of $TIMEOUT s"
    fi
    sleep 1
  done
}

# Its status alone says too little: 1 also comes from a package that could not be had, 2 from a warning. The sentinel tells
# whether what we asked for was done; the status, that nothing more will come.
cloud_init_ended() {
  case $(briefly 30 cloud-init status 2>/dev/null) in
    *done* | *error* | *degraded* | *disabled*) ;;
    *)
      echo "it is not through yet"
      return 1
      ;;
  esac
}
if have cloud-init; then
  until_ok "cloud-init" cloud_init_ended
  if [ ! -e "$SENTINEL" ]; then give_up "cloud-init has ended without having done what it was told: no $SENTINEL" "$anew"; fi
else
  until_ok "$SENTINEL" test -e "$SENTINEL"
fi
if ! have docker; then give_up "there is no docker on this image (gpubox:host.ami)" "$anew"; fi
until_ok "the Docker daemon" as_root docker info
if ! briefly 30 docker info >/dev/null 2>&1; then
  # It counts from the next login on; nothing goes through the login of this run after it.
  as_root usermod -aG docker "$(id -un)" || give_up "$(id -un) may not use Docker" "$anew"
  say "$(id -un) may use Docker from now on"
fi
if [ -n "${GPU-}" ]; then
  if ! have nvidia-smi; then give_up "there is no nvidia-smi on this image (gpubox:host.ami), so no GPU driver" "$anew"; fi
  until_ok "the GPU's driver" briefly 30 nvidia-smi
fi
printf 'ready after %s s\n' "$(waited)"
