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

check_container
check_timeout
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

unguessable() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# Every folder, one a line; both sides know them by their numbers.
folders() { printf '%s\n%s\n' "$FOLDERS" "${VOLUMES-}" | sed '/^$/d'; }

# What the container's shell is handed, whichever it is, and what comes back begins with a word that it is told: whatever else is
# printed there is somebody else's. The code of a notebook can put programs where the container's PATH leads first, and links into
# these folders: a file that is made by "set -C" is a new one, whatever has its name, and its name is known to nobody. It is gone
# before it is written to, so that nothing stays behind; what a kill left in the moment before goes the next time.
word=$(unguessable)
program() {
  printf 'word=%s name=%s\n' "$word" "$(unguessable)"
  cat <<'SH'
PATH=/usr/sbin:/usr/bin:/sbin:/bin
unwritable() {
  why=${3##*: }
  echo "$word IS $1 $(ls -ldn "$2/" 2>/dev/null || ls -ldn "$2" 2>/dev/null)"
  echo "$word NO $1 ${why:-unknown error}"
}
prove() {
  if [ ! -d "$2" ]; then
    if [ -w "$2" ]; then echo "$word YES $1"; else unwritable "$1" "$2" 'Permission denied'; fi
    return
  fi
  rm -f "$2"/.gpubox-proof-* 2>/dev/null
  file=$2/.gpubox-proof-$name
  if said=$( (set -C; { rm -f "$file" && printf %4096s proof >&3; } 3>"$file") 2>&1); then
    echo "$word YES $1"
  else
    unwritable "$1" "$2" "$said"
  fi
}
all() {
for program in rm ls id; do
  if ! command -v "$program" >/dev/null; then echo "$word LACKS $program"; return; fi
done
SH
  number=0
  folders | while IFS= read -r folder; do
    number=$((number + 1))
    printf 'prove %s %s\n' "$number" "$(quoted "$folder")"
  done
  cat <<'SH'
echo "$word WHO $(id -u) $(id -G)"
}
all
SH
}

# A disk that does not answer would be waited for.
# shellcheck disable=SC2119 # what is run is on its standard input
enter_container
# answers WHAT: what the program said of it. Code in a notebook that watches our shell, or that is root there and has replaced it, knows
# the word as well: no more than numbers of this gets into a command, and no text of it into a line of ours.
answers() { printf '%s\n' "$printed" | sed -n "s/^$word $1 //p"; }
show_printed() { printf '%s\n' "$printed" | sed "/^$word /d; /^\$/d" | tail -n 5 | show_lines; }

if [ "$status" = 124 ]; then
  fail 1 "writing to $(printf '%s' "$FOLDERS" | tr '\n' ' ') did not end within $TIMEOUT s" \
    "  a disk of another machine that does not answer, perhaps:  df"
fi
lacking=$(answers LACKS)
case $status:$printed in
  12[67]:*'executable file'*'not found'* | 12[67]:*[Nn]'o such file or directory'*) lacking='sh' ;;
esac
case $lacking in
  sh | rm | ls | id)
    say "not tried, as the image has no $lacking in /bin to do it with"
    printf 'not tried\n'
    exit 0
    ;;
esac
who=$(answers WHO)
if [ -z "$who" ]; then
  say "could not look into the container; what came back:"
  show_printed
  fail 1 "  try it:  docker exec $CONTAINER /bin/sh -c id"
fi
# What the daemon has to say of the container, by a template of Docker's.
ask() { briefly 10 docker inspect --type container --format "$1" "$CONTAINER" 2>/dev/null || :; }

# identify: sets $uid and $groups, of which commands are made: numbers, and no other user than the daemon started.
identify() {
  uid=${who%% *} groups=${who#* }
  case $uid:$groups in
    :* | *: | *[!0-9:\ ]* | *:*:*) return 1 ;;
  esac
  started=$(ask '{{.Config.User}}')
  case ${started%%:*} in
    '' | *[!0-9]* | "$uid") ;;
    *) return 1 ;;
  esac
}

# origin FOLDER: what it is on the host. Sets $type (bind or volume) and $source (its path, or the volume's name).
origin() {
  template='{{range .Mounts}}{{.Destination}}{{"\t"}}{{.Type}}{{"\t"}}{{if .Name}}{{.Name}}{{else}}{{.Source}}{{end}}{{"\n"}}{{end}}'
  found=$(ask "$template" | TARGET=$1 awk -F '\t' '$1 == ENVIRON["TARGET"] { print $2 "\t" $3; exit }')
  type=${found%%	*} source=${found#*	}
}

# owned: of what ls -ldn prints, its mode and whose it is.
owned() {
  awk '$1 ~ /^[bcdlps-][rwxsStT-]+[.+@]?$/ && $3 $4 ~ /^[0-9]+$/ { printf "%s of %s:%s", $1, $3, $4; known = 1 }
    END { if (!known) printf "nobody knows whose" }'
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
  origin "$folder"
  case $3 in
    'Permission denied' | 'Read-only file system' | 'No space left on device' | 'Disk quota exceeded')
      say "$folder cannot be written from $CONTAINER: $3"
      ;;
    *)
      say "$folder cannot be written from $CONTAINER:"
      printf '%s\n' "$3" | show_lines
      ;;
  esac
  if ! identify; then
    say "  and who it runs as is not to be learned there:"
    printf '%s\n' "$who" | show_lines
    return
  fi
  say "  it runs as uid $uid in the groups $groups; there $folder is $(printf '%s\n' "$2" | owned)"
  place=$source
  if [ "$type" = volume ]; then
    place=$(briefly 10 docker volume inspect --format '{{.Mountpoint}}' "$source" 2>/dev/null || printf '%s' "$source")
  elif outside=$(ls -ldn "$source" 2>/dev/null); then
    say "  on the host it is $source, $(printf '%s\n' "$outside" | owned), and you are uid $(id -u) in the groups $(id -G)"
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
        echo "another user's notebook made what is in it, perhaps; to have it:  docker run --rm --user 0${mode:+ --userns $(quoted "$mode")} --entrypoint chown -v $(quoted "$source:$folder") $(quoted "$(ask '{{.Image}}')") -R $uid:${groups%% *} $(quoted "$folder")"
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

failed=''
note=''
number=0
count=$(printf '%s\n' "$FOLDERS" | sed '/^$/d' | wc -l)
while IFS= read -r folder; do
  number=$((number + 1))
  why=$(answers "NO $number")
  if [ -z "$why" ] && [ "$(answers YES | grep -cx "$number")" -gt 0 ]; then continue; fi
  if [ "$number" -le "$count" ]; then failed=yes; else note=yes; fi
  if [ -n "$why" ]; then
    explain "$folder" "$(answers "IS $number")" "$why"
  else
    say "whether $folder can be written from $CONTAINER did not come back; what did:"
    show_printed
  fi
done <<END
$(folders)
END
if [ -n "$failed" ]; then
  fail 1 "not ready, as what is done in a notebook could not be saved; once it is mended, run the same again"
fi
if [ -n "$note" ]; then say "the notebook works without; where it is to be so, say  readOnly: true  of that volume"; fi
printf 'can write to %s\n' "$(printf '%s' "$FOLDERS" | tr '\n' ' ')"
