# Runs a command of gpubox_data/ (docs/internals/data.md): with the machine's own Python, or with that of the stack's image. What a host
# is sent sets these before this text:
# shellcheck shell=sh disable=SC2154
#
#   command     name of the module
#   loader      text of gpubox_data/load.py
#   sources     texts of the modules that it takes
#   parameters  names of the parameters that these read, separated by spaces
#
# and in the environment, beside those parameters:
#
#   IMAGE       optional: image of a container to run it in where this machine has no Python that will do
set -u
# shellcheck source=host-scripts/python.sh
. ./python.sh

say() { printf '%s: %s\n' "$command" "$1" >&2; }

# run PROGRAM ARGUMENT...: a Python, with these before its own arguments.
run() { printf '%s' "$sources" | "$@" -I -S -c "$loader" "$command"; }

# What load.py ends with where the Python is too old.
TOO_OLD=69
if has_tool python3; then
  run python3
  status=$?
  case $status in
    "$TOO_OLD") why='python3 on this machine is older than 3.9' ;;
    126 | 127) why='python3 on this machine does not start (above)' ;;
    *) exit "$status" ;;
  esac
else
  why='python3 is not installed on this machine'
fi

refuse() {
  say "$1"
  if [ "$(uname)" = Darwin ]; then say '  for instance:  xcode-select --install'; else say '  for instance:  sudo apt-get install python3'; fi
  # Nothing of it keeps a stack from being torn down.
  if [ "$command" = retire ]; then
    say "  until then ${ROOT-}/${KIND-}/${FOLDER-} stays as it is"
    exit 0
  fi
  exit 1
}
if [ -z "${IMAGE-}" ] || ! has_tool docker; then refuse "$why"; fi
say "$why, so this is done in a container of $IMAGE"

case ${ROOT-} in
  '~' | '~'/*) if [ -n "${HOME-}" ]; then ROOT=$HOME${ROOT#?}; fi ;;
esac
ROOT=${ROOT-}
export ROOT

# mount PATH ACCESS: what --mount takes, a line of CSV. It is there by the same name.
mount() {
  path=$(printf '%s' "$1" | sed 's/"/""/g')
  printf 'type=bind,"source=%s","target=%s",%s' "$path" "$path" "$2"
}

# Folders of the files that urls name. The part of a path that is written in another way (%20) is not known here: all above it then.
url_folders() {
  printf '%s\n%s\n' "${URLS-}" "${URL-}" | sed -n 's|^file://[^/]*\(/.*\)$|\1|p' | sed 's|%.*||; s|/[^/]*$||' | sort -u
}

# What the program is to see, as lines "ACCESS PATH": the root, with the disks that its folders may be links to; files that urls name; and
# git's settings and logins of the person, whom the container is to know.
paths() {
  if [ -d "$ROOT" ]; then printf 'readonly=false %s\n' "$ROOT"; fi
  for path in "$ROOT" "$ROOT/code" "$ROOT/data"; do
    if [ -L "$path" ]; then (cd -P "$path" 2>/dev/null && printf 'readonly=false %s\n' "$(pwd -P)"); fi
  done
  url_folders | sed 's/^/readonly /'
  if [ "$command" = code ] && [ -n "${HOME-}" ]; then
    for name in .gitconfig .config/git .git-credentials .netrc .ssh; do printf 'readonly %s/%s\n' "$HOME" "$name"; done
  fi
  # Where the daemon is on this very machine.
  if [ "$(uname)" = Linux ]; then printf 'readonly /etc/passwd\n'; fi
}

in_container() {
  set -- run --rm --init -i --pull never --network host --workdir / --entrypoint python3 --cap-drop ALL --security-opt no-new-privileges
  options=$(docker info --format '{{.SecurityOptions}}' 2>/dev/null)
  case $options in
    # The daemon is the person's own program there, its root the person.
    *name=rootless*) set -- "$@" --user 0:0 ;;
    *)
      set -- "$@" --user "$(id -u):$(id -g)"
      for group in $(id -G); do set -- "$@" --group-add "$group"; done
      case $options in *name=userns*) set -- "$@" --userns host ;; esac
      ;;
  esac
  for name in $parameters ROOT HOME GPUBOX_TRACE http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY; do
    set -- "$@" --env "$name"
  done
  # Where nvidia is the daemon's default runtime, an image that asks for all GPUs would get them.
  set -- "$@" --env NVIDIA_VISIBLE_DEVICES=void
  mounted=' '
  while IFS=' ' read -r access path; do
    case $mounted in *" $path
"*) continue ;; esac
    # What is below the root is there with it.
    case $access:$path/ in readonly:"${ROOT%/}"/*) continue ;; esac
    if [ "$path" = / ] || [ ! -e "$path" ]; then continue; fi
    mounted="$mounted $path
"
    set -- "$@" --mount "$(mount "$path" "$access")"
  done <<END
$(paths)
END
  run docker "$@" "$IMAGE"
}
in_container
status=$?
case $status in
  125) refuse "docker cannot run it (above), and $why" ;;
  126 | 127) refuse "$IMAGE has no python3, and $why" ;;
  "$TOO_OLD") refuse "the python3 of $IMAGE is older than 3.9, and $why" ;;
esac
exit "$status"
