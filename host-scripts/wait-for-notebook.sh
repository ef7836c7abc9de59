#!/bin/sh
# Limits how many processes a notebook's container may have, and waits until its Jupyter server answers.
#
#   URL          of the server as this machine sees it, such as http://127.0.0.1:8888
#   CONTAINER    the name of its container
#   TIMEOUT      seconds
#   DOCKER_HOST  optional, as the docker command reads it
#
# stdout: "ready after N s". Exit: 0 ready, 1 not ready (timed out, or the container does not run), 2 bad parameter.
# Asks /api, the one page that needs no token.
set -eu

topic="notebook ${CONTAINER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

case ${URL-} in
  http://?* | https://?*) api=${URL%/}/api ;;
  *) fail 2 "url: '${URL-}' is not an http url" ;;
esac
check_container
check_timeout

# Never by way of a proxy: the server is on this machine.
if have curl; then
  ask() { briefly 10 curl -fsS --noproxy '*' --max-time 5 "$api" 2>&1; }
elif have wget; then
  ask() { briefly 10 wget -nv -O - --no-proxy --tries=1 --timeout=5 "$api" 2>&1; }
elif have python3; then
  ask() {
    briefly 10 python3 -c '
import sys, urllib.request
try:
    page = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=5)
    print(page.read(65536).decode())
except Exception as error:
    sys.exit(print(error) or 1)
' "$api"
  }
else
  fail 1 "needs curl, wget or python3 to ask $api" "  for instance:  sudo apt-get install curl"
fi

# One line that says why the server is not ready; empty once it is. Its answer may be one without end.
unanswered='
no answer'
problem() {
  page=$({ ask || printf '%s' "$unanswered" 2>/dev/null; } | beginning 65536)
  case $page in
    "$unanswered") printf 'no answer' ;;
    *"$unanswered") printf '%s' "${page%"$unanswered"}" | tail -n 1 ;;
    *'"version"'*) ;;
    *) printf 'it answers, but not as a Jupyter server does' ;;
  esac
}

# A daemon that hangs must not hold up the clock.
docker_briefly() { briefly 10 docker "$@"; }

# Jupyter logs its address together with its token, and programs log their requests and settings.
without_tokens() {
  sed -E -e "s/([Tt][Oo][Kk][Ee][Nn])((%22|[\"'])?[[:space:]]*([=:]|%(25)*3[AaDd])[[:space:]]*(%22|[\"'])?)[^][:space:]&\"']+/\1\2.../g" \
    -e "s/([Aa]uthorization: *[A-Za-z]+ +)[^[:space:]\"']+/\1.../g"
}

give_up_on_container() {
  # One that never ran has none.
  log=$(docker_briefly logs --tail 20 "$CONTAINER" 2>&1 | tail -c 65536 | without_tokens | sed 's/^/| /' | legible)
  if [ -n "$log" ]; then
    say "the last lines of its log:"
    printf '%s\n' "$log" | show_lines
  fi
  # Some daemons never learn that it was the kernel, whose signal (137) is all that there is to go by.
  if [ "$killed" = true ] || { [ "$code" = 137 ] && [ "$limit" -gt 0 ]; }; then
    give_up_for_memory "container $CONTAINER was killed for want of memory"
  fi
  fail 1 "container $CONTAINER $1, so $URL will not answer" "  the whole log:  docker logs $CONTAINER"
}

give_up_for_memory() {
  if [ "$limit" -gt 0 ]; then
    fail 1 "$1, so $URL will not answer" \
      "  its limit is $((limit / 1048576)) MB: raise its \`memory\` in gpubox:notebooks, or leave it out" \
      "  Jupyter alone takes 80 MB, and a kernel with PyTorch a gigabyte"
  fi
  fail 1 "$1, so $URL will not answer" \
    "  the machine has no more: close other programs there, or add swap"
}

# Where a limit is too low, and yet nothing is killed: what the kernel takes away to make room is wanted again at once.
is_out_of_memory() {
  [ "${limit:-0}" -gt 0 ] || return 1
  [ "$killed" != true ] || return 0
  used=$(docker_briefly stats --no-stream --format '{{.MemPerc}}' "$CONTAINER" 2>/dev/null) || return 1
  used=${used%%.*}
  case $used in '' | *[!0-9]*) return 1 ;; esac
  [ "$used" -ge 90 ]
}

# What a container that runs again ended with last.
last_exit() {
  docker_briefly events --since "$started" --until "$(date +%s)" --filter "container=$CONTAINER" --filter event=die \
    --format '{{.Actor.Attributes.exitCode}}' 2>/dev/null | tail -n 1
}

# The daemon's number of restarts only says something compared with an earlier look.
restarts=
look_at_container() {
  found=$(docker_briefly inspect --type container \
    --format '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}} {{.State.OOMKilled}} {{.HostConfig.Memory}}' \
    "$CONTAINER" 2>&1) || {
    case $found in
      *'No such container'*) fail 1 "there is no container $CONTAINER, so $URL will not answer" ;;
    esac
    return 0
  }
  # shellcheck disable=SC2086 # its words
  set -- $found
  status=$1 code=$2 count=$3 killed=${4-} limit=${5-0}
  case $status in
    exited | dead) give_up_on_container "has stopped with exit code $code" ;;
    restarting) give_up_on_container "keeps stopping with exit code $code" ;;
    paused) give_up_on_container "is paused" ;;
  esac
  if [ "$count" -gt "${restarts:-$count}" ]; then
    code=$(last_exit)
    give_up_on_container "stops and is started again and again"
  fi
  restarts=$count
}

# A notebook that starts processes without end must leave the machine some. Docker's provider has no property for it; it outlives
# restarts. Ample for kernels with a thread for each of many cores, and at most half of what the machine has.
limit_processes() {
  most=32768
  for kernel in pid_max threads-max; do
    all=$(cat "/proc/sys/kernel/$kernel" 2>/dev/null) || continue
    if [ $((all / 2)) -lt "$most" ]; then most=$((all / 2)); fi
  done
  said=$(docker_briefly update --pids-limit "$most" "$CONTAINER" 2>&1) || case $said in
    *'No such container'*) ;;
    *) say "its number of processes is not limited: $(printf '%s\n' "$said" | tail -n 1)" ;;
  esac
}

started=$(date +%s)
if have docker; then limit_processes; fi
told=0
round=0
while :; do
  why=$(problem)
  waited=$(($(date +%s) - started))
  if [ -z "$why" ]; then
    printf 'ready after %s s\n' "$waited"
    exit 0
  fi
  if [ $((round % 4)) -eq 0 ] && have docker; then look_at_container; fi
  if [ "$waited" -ge "$TIMEOUT" ]; then
    if have docker && is_out_of_memory; then give_up_for_memory "container $CONTAINER gets nowhere for want of memory"; fi
    fail 1 "$api is not ready after $waited s: $why" "  what the server says:  docker logs $CONTAINER"
  fi
  if [ "$waited" -ge $((told + 10)) ]; then
    say "waiting for $api, $waited of $TIMEOUT s: $why"
    told=$waited
  fi
  round=$((round + 1))
  sleep 0.5 2>/dev/null || sleep 1
done
