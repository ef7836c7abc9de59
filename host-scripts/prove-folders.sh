#!/bin/sh
# Proves that what runs in a container can write where it is to: makes a file in each folder and removes it, as the container's user.
#
#   CONTAINER    its name
#   FOLDERS      folders in it, one a line: where one cannot be written, the script fails
#   VOLUMES      optional: further ones, of which that is only said
#   TIMEOUT      seconds
#   DOCKER_HOST  optional, as the docker command reads it
#
# stdout: what was proven, one line. Exit: 0 proven, 1 not, 2 bad parameter.
set -eu
topic="folders of ${CONTAINER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

case ${CONTAINER-} in
  '' | -*) fail 2 "container: '${CONTAINER-}' is not a name" ;;
esac
case ${TIMEOUT-} in
  '' | *[!0-9]*) fail 2 "timeout: '${TIMEOUT-}' is not a number of seconds" ;;
esac
case ${FOLDERS-} in
  /*) ;;
  *) fail 2 "folders: '${FOLDERS-}' are not absolute" ;;
esac
if ! have docker; then
  # Notebooks run without it as well.
  say "not tried, as there is no docker command here to look into the container with"
  printf 'not tried\n'
  exit 0
fi

# What the container's shell is handed, whichever it is. The code of a notebook can make links in these folders: a file that is made
# by "set -C" is a new one, whatever has its name, and its name is known to nobody. It is gone before it is written to, so that
# nothing stays behind; what a kill left in the moment before goes the next time.
program() {
  cat <<'SH'
unwritable() {
  printf 'NO %s\nIS %s\nWHY %s\n' "$1" "$(ls -ldn "$1/" 2>/dev/null || ls -ldn "$1" 2>/dev/null)" "${2##*: }"
}
prove() {
  if [ ! -d "$1" ]; then
    [ -w "$1" ] || unwritable "$1" 'Permission denied'
    return
  fi
  rm -f "$1"/.gpubox-proof-* 2>/dev/null
  file=$1/.gpubox-proof-$name
  said=$( (set -C; { rm -f "$file" && printf %4096s proof >&3; } 3>"$file") 2>&1) || unwritable "$1" "$said"
}
all() {
SH
  printf 'name=%s\n' "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
  printf '%s\n%s\n' "$FOLDERS" "${VOLUMES-}" | while IFS= read -r folder; do
    if [ -n "$folder" ]; then printf 'prove %s\n' "$(quoted "$folder")"; fi
  done
  cat <<'SH'
echo "WHO $(id -u) $(id -G)"
}
all
SH
}

# A disk that does not answer would be waited for. What comes back has no end, perhaps.
printed=$({
  status=0
  program | briefly "$TIMEOUT" docker exec -i "$CONTAINER" sh 2>&1 || status=$?
  printf '\n%s' "$status" 2>/dev/null
} | beginning 65536)
status=${printed##*
}
printed=${printed%
*}
who=$(printf '%s\n' "$printed" | sed -n 's/^WHO //p' | tail -n 1)
if [ "$status" = 124 ]; then
  fail 1 "writing to $(printf '%s' "$FOLDERS" | tr '\n' ' ') did not end within $TIMEOUT s" \
    "  a disk of another machine that does not answer, perhaps:  df"
fi
if [ -z "$who" ]; then
  case $printed in
    *'executable file not found'* | *'no such file or directory'*)
      say "not tried, as the image has no shell to do it with"
      printf 'not tried\n'
      exit 0
      ;;
  esac
  fail 1 "could not look into the container: $(printf '%s\n' "$printed" | sed '/^$/d' | tail -n 1)" "  try it:  docker exec $CONTAINER sh -c id"
fi

# What the daemon has to say of the container, by a template of Docker's.
ask() { briefly 10 docker inspect --type container --format "$1" "$CONTAINER" 2>/dev/null || :; }

# origin FOLDER: what it is on the host. Sets $type (bind or volume) and $source (its path, or the volume's name).
origin() {
  template='{{range .Mounts}}{{.Destination}}{{"\t"}}{{.Type}}{{"\t"}}{{if .Name}}{{.Name}}{{else}}{{.Source}}{{end}}{{"\n"}}{{end}}'
  found=$(ask "$template" | TARGET=$1 awk -F '\t' '$1 == ENVIRON["TARGET"] { print $2 "\t" $3; exit }')
  type=${found%%	*} source=${found#*	}
}

# owned LS-LINE: its mode and whose it is.
owned() {
  # shellcheck disable=SC2086 # its words
  set -- $1
  printf '%s of %s:%s' "${1-?}" "${3-?}" "${4-?}"
}

# isolated OPTION: whether the daemon keeps containers apart in this way.
isolated() {
  case " $(briefly 10 docker info --format '{{.SecurityOptions}}' 2>/dev/null | tr '[],' '   ') " in
    *" name=$1 "*) ;;
    *) return 1 ;;
  esac
}

# explain FOLDER LS-LINE REASON: why it cannot be written, and what mends it.
explain() {
  folder=$1
  uid=${who%% *}
  origin "$folder"
  say "$folder cannot be written from $CONTAINER: $3"
  say "  it runs as uid $uid in the groups ${who#* }; there $folder is $(owned "$2")"
  place=$source
  if [ "$type" = volume ]; then
    place=$(briefly 10 docker volume inspect --format '{{.Mountpoint}}' "$source" 2>/dev/null || printf '%s' "$source")
  elif outside=$(ls -ldn "$source" 2>/dev/null); then
    say "  on the host it is $source, $(owned "$outside"), and you are uid $(id -u) in the groups $(id -G)"
  fi
  say "  $(mend "$3")"
}

mend() {
  at=$(quoted "$place")
  leave="leave out  user: image  in gpubox:image"
  let_in="sudo setfacl -R -m u:$uid:rwX -m d:u:$uid:rwX $at"
  take_over="sudo chown -R $(id -u):$(id -g) $at"
  mode=$(ask '{{.HostConfig.UsernsMode}}')
  case $1 in
    *[Rr]ead-only*)
      echo "its disk is mounted to be read only; to be written:  sudo mount -o remount,rw \"\$(findmnt -no TARGET -T $at)\" && docker restart $CONTAINER"
      ;;
    *uota*) echo "you have used up what you may have on its disk:  quota -s" ;;
    *'o space'* | *'/O error'* | *'rite error'*) echo "its disk is full:  df -h $at && df -i $at" ;;
    *)
      if [ "$type" = volume ]; then
        echo "another user's notebook made what is in it, perhaps; to have it:  docker run --rm --user 0${mode:+ --userns $mode} --entrypoint chown -v $source:$folder $(ask '{{.Image}}') -R $(printf '%s' "$who" | awk '{ print $1 ":" $2 }') $folder"
      elif isolated rootless && [ "$uid" = 0 ]; then
        echo "the Docker daemon is rootless: in a notebook you are root, and have none of your groups; to have the folder:  $take_over"
      elif isolated rootless; then
        echo "the Docker daemon is rootless, and only root in a container is you: $leave"
      elif isolated userns && [ "$mode" != host ]; then
        echo "the Docker daemon gives containers other ids than the host's (userns-remap): $leave, and the notebook has yours"
      elif [ "$uid" != "$(id -u)" ]; then
        echo "the notebook is not you on the host: $leave, or let it write there:  $let_in"
      elif [ ! -w "$source" ] || [ ! -x "$source" ]; then
        echo "to take it over:  $take_over"
      elif [ "$(getenforce 2>/dev/null || :)" = Enforcing ]; then
        echo "you may write there, and SELinux keeps containers from it; to let them:  sudo chcon -R -t container_file_t $at"
      else
        echo "you may write there by a group that notebooks are not given, one of the machine's own or of this login alone, perhaps; to let you by name:  $let_in"
      fi
      ;;
  esac
}

needed() { printf '%s\n' "$FOLDERS" | grep -qxF -e "$1"; }

failed=''
note=''
while IFS= read -r line; do
  case $line in
    'NO '*) folder=${line#NO } inside='' ;;
    'IS '*) inside=${line#IS } ;;
    'WHY '*)
      if needed "$folder"; then failed="$failed $folder"; else note=yes; fi
      explain "$folder" "$inside" "${line#WHY }"
      ;;
  esac
done <<END
$printed
END
if [ -n "$failed" ]; then
  fail 1 "not ready, as what is done in a notebook could not be saved; once it is mended, run the same again"
fi
if [ -n "$note" ]; then say "the notebook works without; where it is to be so, say  readOnly: true  of that volume"; fi
printf 'can write to %s\n' "$(printf '%s' "$FOLDERS" | tr '\n' ' ')"
