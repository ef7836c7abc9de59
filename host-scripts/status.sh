#!/bin/sh
# Says what a stack's notebooks are at, without changing anything.
#
#   ROOT         of the stack: absolute, or "~/..."
#   CONTAINERS   names, separated by spaces
#   DOCKER_HOST  optional, as the docker command reads it
#
# stdout: one line of JSON; cli/ui/usage.ts reads it. Exit: 0 done, 2 bad parameter. What cannot be found out is null.
set -eu
topic=status
# shellcheck source=host-scripts/common.sh
. ./common.sh

absolute_root

or_null() { if [ -n "$1" ]; then printf '%s' "$1"; else printf null; fi; }

# Inside the container, where the token is, by programs of the image's before any that a notebook put where PATH leads; curl reads it
# from its standard input, so that no list of processes shows it.
# shellcheck disable=SC2016 # for the container's shell
ask_jupyter='PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
printf "header = \"Authorization: token %s\"\n" "$JUPYTER_TOKEN" |
  curl -fs --noproxy "*" --max-time 3 -K - "http://127.0.0.1:${JUPYTER_PORT:-8888}/api/kernels"'

# What a notebook answers is anything, and without end perhaps; as a string it is nothing but the value of "kernels".
kernels() { briefly 5 docker exec "$1" /bin/sh -c "$ask_jupyter" 2>/dev/null | beginning 1000000 | json_string; }

container() {
  is_name "$1" || fail 2 "containers: '$1' is not a name"
  state=$(briefly 5 docker inspect --type container --format \
    '"state":"{{.State.Status}}","health":"{{if .State.Health}}{{.State.Health.Status}}{{end}}","exitCode":{{.State.ExitCode}},"started":"{{.State.StartedAt}}","image":"{{.Image}}"' \
    "$1" 2>&1) || case $state in
    *[Nn]'o such'*) state='"state":"gone"' ;;
    *) state='"state":"unknown"' ;;
  esac
  image=$(printf '%s' "$state" | sed -n 's/.*"image":"\([^"]*\)".*/\1/p')
  size=$(if [ -n "$image" ]; then briefly 5 docker image inspect --format '{{.Size}}' "$image" 2>/dev/null || :; fi)
  case $state in
    *'"running"'*) running=$(kernels "$1") ;;
    *) running=null ;;
  esac
  printf '{"name":"%s",%s,"imageBytes":%s,"kernels":%s}' "$1" "$state" "$(or_null "$size")" "$running"
}

containers() {
  separator=
  for name in $CONTAINERS; do
    printf '%s' "$separator"
    container "$name"
    separator=,
  done
}

gpus() {
  have nvidia-smi || return 0
  briefly 5 nvidia-smi --query-gpu=index,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits 2>/dev/null |
    awk -F ', *' 'NF == 4 && $2 ~ /^[0-9]+$/ { printf "%s{\"index\":%d,\"percent\":%d,\"used\":%d,\"total\":%d}", sep, $1, $2, $3, $4; sep = "," }'
}

# A folder with millions of files takes long to add up; then nobody waits for it.
kilobytes() { if [ -d "$1" ]; then briefly 5 du -sk "$1" 2>/dev/null | awk '{ print $1 }'; fi; }

# The slow ones at the same time.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for kind in code data; do kilobytes "$ROOT/$kind" >"$scratch/$kind" & done
containers >"$scratch/containers" &
gpus >"$scratch/gpus" || : &
wait
uptime=$(awk '{ printf "%d", $1 }' /proc/uptime 2>/dev/null || :)
printf '{"containers":[%s],"gpus":[%s],"code":%s,"data":%s,"uptime":%s}\n' \
  "$(cat "$scratch/containers")" "$(cat "$scratch/gpus")" "$(or_null "$(cat "$scratch/code")")" \
  "$(or_null "$(cat "$scratch/data")")" "$(or_null "$uptime")"
