#!/bin/sh
# Says what a machine has that a stack may need, without changing anything.
#
#   ROOT              of the stack: absolute, or "~/..."; need not be there
#   FOLDERS           optional: further folders that notebooks are given, one a line
#   NVIDIA_SMI_ARGS   what nvidia-smi is asked, separated by spaces
#   NVIDIA_DETAIL_ARGS   what it is asked beside that, which an old one may not know
#
# stdout: one line of JSON; components/host/inspection.ts reads it. Exit: 0 done, 2 bad parameter.
# What cannot be found out is null, or says why; that is for the reader to judge.
set -eu
topic=inspect
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/groups.sh
. ./groups.sh
# shellcheck source=host-scripts/python.sh
. ./python.sh

absolute_root

# A driver or a daemon in trouble can hang for minutes.
patiently() { briefly 15 "$@"; }

# Lines of JSON as a list.
json_list() { awk 'BEGIN { printf "[" } NF { printf "%s%s", sep, $0; sep = "," } END { printf "]" }'; }

# What a program writes to stderr is kept for the reader in $errors; the folder is the only thing made, and goes again.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
errors=$scratch/errors

# Where the docker command is, outside the PATH that a command over SSH has: as the person's login shell finds it, or in the
# folders that packages put it into.
docker_elsewhere() {
  found=$(patiently "${SHELL:-sh}" -lc 'command -v docker' </dev/null 2>/dev/null | sed -n '/^\//h; $ { g; p; }' || :)
  for path in "$found" /usr/local/bin/docker /usr/bin/docker /snap/bin/docker /opt/*/bin/docker /opt/*/docker \
    ~/bin/docker ~/.local/bin/docker ~/.docker/bin/docker ~/.nix-profile/bin/docker /run/current-system/sw/bin/docker; do
    if [ -f "$path" ] && [ -x "$path" ]; then
      printf '%s' "$path" | json_string
      return
    fi
  done
  printf null
}

docker_facts() {
  if ! have docker; then
    printf '{"missing":true,"elsewhere":%s}' "$(docker_elsewhere)"
    return
  fi
  # Older clients end well without a daemon, and say so inside what they print.
  patiently docker info --format '{{json .}}' >"$scratch/info" 2>"$errors" || :
  for kind in ps network volume; do : >"$scratch/$kind"; done
  if [ "$(wc -l <"$scratch/info")" -ne 1 ]; then
    # A daemon that hangs would be waited for with each of the others.
    printf 'null\n' >"$scratch/info"
  else
    labels='"stack":{{json (.Label "gpubox.stack")}},"owner":{{json (.Label "gpubox.owner")}},"madeBy":{{json (.Label "gpubox.made-by")}}'
    more='"ports":{{json .Ports}},"status":{{json .Status}},"mounts":{{json .Mounts}}'
    patiently docker ps --all --no-trunc --format "{\"name\":{{json .Names}},$labels,$more}" \
      >"$scratch/ps" 2>>"$errors" || :
    for kind in network volume; do
      patiently docker "$kind" ls --format "{\"name\":{{json .Name}},$labels}" \
        >"$scratch/$kind" 2>>"$errors" || :
    done
  fi
  printf '{"info":%s,"containers":%s,"networks":%s,"volumes":%s,"error":%s}' "$(cat "$scratch/info")" \
    "$(json_list <"$scratch/ps")" "$(json_list <"$scratch/network")" "$(json_list <"$scratch/volume")" \
    "$(json_string <"$errors")"
}

driver_facts() {
  if ! have nvidia-smi; then
    printf '{"missing":true}'
    return
  fi
  # shellcheck disable=SC2086 # several words
  if patiently nvidia-smi $NVIDIA_SMI_ARGS >"$scratch/csv" 2>"$errors"; then
    # shellcheck disable=SC2086 # several words
    patiently nvidia-smi ${NVIDIA_DETAIL_ARGS-} >"$scratch/details" 2>/dev/null || : >"$scratch/details"
    : >"$scratch/list"
    # A GPU that is cut into slices, or a driver that does not say.
    if [ ! -s "$scratch/details" ] || grep -q Enabled "$scratch/details"; then
      patiently nvidia-smi -L >"$scratch/list" 2>/dev/null || :
    fi
    printf '{"csv":%s,"details":%s,"list":%s}' "$(json_string <"$scratch/csv")" "$(json_string <"$scratch/details")" \
      "$(json_string <"$scratch/list")"
  else
    status=$?
    cat "$errors" >>"$scratch/csv"
    if [ ! -s "$scratch/csv" ]; then printf 'exit status %s\n' "$status" >"$scratch/csv"; fi
    printf '{"failed":%s}' "$(head -n 1 "$scratch/csv" | json_string)"
  fi
}

# dockerd looks for the hook in folders that only root's PATH has.
toolkit_hook() {
  if (PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin" && have nvidia-container-runtime-hook); then
    printf true
  else
    printf false
  fi
}

# Local addresses of the sockets that listen, as the kernel writes them: 0100007F:22B8.
listening() {
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { printf "\"%s\"\n", $2 }' | json_list
}

addresses() {
  if have ip; then
    ip -4 -o address show 2>/dev/null | awk '{ sub(/\/.*/, "", $4); printf "\"%s\"\n", $4 }' | json_list
  else
    printf null
  fi
}

# Whether a path is certainly not there: where nobody may look it may well be.
is_missing() {
  if [ -e "$1" ]; then return 1; fi
  above=$(dirname "$1")
  until [ -e "$above" ]; do above=$(dirname "$above"); done
  [ -x "$above" ]
}

folder_facts() {
  root=${ROOT%/}
  printf '{"root":%s,"missing":' "$(printf '%s' "$root" | json_string)"
  printf '%s\n' "$root/code" "$root/data" "${FOLDERS-}" | while IFS= read -r folder; do
    if [ -n "$folder" ] && is_missing "$folder"; then
      printf '%s' "$folder" | json_string
      echo
    fi
  done | json_list
  printf '}'
}

# Free megabytes where a path is, or would be.
free_megabytes() {
  path=$1
  until [ -e "$path" ]; do path=$(dirname "$path"); done
  free=$(df -Pk "$path" 2>/dev/null | awk 'NR == 2 { printf "%d", $4 / 1024 }')
  printf '%s' "${free:-null}"
}

disk_facts() {
  folder=$(sed -n 's/.*"DockerRootDir":"\([^"\\]*\)".*/\1/p' "$scratch/info" 2>/dev/null || :)
  printf '{"docker":%s,"root":%s}' "$(if [ -n "$folder" ]; then free_megabytes "$folder"; else printf null; fi)" \
    "$(free_megabytes "$ROOT")"
}

# Text on standard input as a JSON string, or null where there is none.
json_or_null() { if found=$(cat) && [ -n "$found" ]; then printf '%s' "$found" | json_string; else printf null; fi; }

printf '{"user":"%s:%s","groups":%s,"home":%s,"shell":%s,"docker":%s,"driver":%s,"toolkitHook":%s,"listening":%s,"addresses":%s,"folders":%s,"free":%s,"python":%s,"git":%s,"time":%s}\n' \
  "$(id -u)" "$(id -g)" "$(shared_groups | json_list)" "$(printf '%s' "${HOME-}" | json_string)" "$(printf '%s' "${SHELL-}" | json_string)" "$(docker_facts)" \
  "$(driver_facts)" "$(toolkit_hook)" "$(listening)" "$(addresses)" "$(folder_facts)" "$(disk_facts)" \
  "$(python_version | json_or_null)" "$(if has_tool git; then printf true; else printf false; fi)" "$(date +%s)"
