#!/bin/sh
# The container's entry point: gives the person a name, puts the starter notebooks and the sample pictures where they
# are missing, and becomes Jupyter. With arguments it runs those instead: `docker run IMAGE bash`.
#
#   JUPYTER_TOKEN     the server's token (required)
#   JUPYTER_PORT      the port it listens on, in the container and on the host alike (default 8888)
#   GPUBOX_UMASK      what others lose of files that are made here (default: what it was started with, 022 as a rule)
#   GPUBOX_STARTERS   `no` leaves /code/starters and /data/shapes alone (default yes)
set -eu

say() { printf 'start-notebook: %s\n' "$*" >&2; }

# Until Jupyter itself starts, by the image's own programs: what a person installed, or has in /code, may be what is broken.
theirs=$PATH
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

if [ -n "${GPUBOX_UMASK:-}" ]; then umask "$GPUBOX_UMASK"; fi

# Programs ask for the name of the user (git, ssh, getpass, "I have no name!"). Ids of the base image have one, and the
# extra user database serves none below 500, of users or of their groups: on a Mac, people are 501 in group 20.
uid=$(id -u)
gid=$(id -g)
# Jupyter does not start without a home folder. Started all the same, it can be asked, and whoever started it told why this is none.
if [ ! -w "$HOME" ]; then
  say "$HOME is not writable for user $uid: settings and packages go to /tmp, and are lost with the container"
  HOME=$(mktemp -d)
  export HOME
fi
if ! getent passwd "$uid" >/dev/null; then
  [ "$gid" -ge 500 ] && group=$gid || group=65534
  echo "jupyter:x:$uid:$group:jupyter:$HOME:/bin/bash" >>/var/lib/extrausers/passwd
fi
for each in $(id -G); do
  if ! getent group "$each" >/dev/null; then
    [ "$each" = "$gid" ] && group=jupyter || group=group$each
    echo "$group:x:$each:" >>/var/lib/extrausers/group
  fi
done

# Where `pip install` puts packages: Python looks there only if the folder was there when it started.
user_site=$(python3 -I -c 'import site; print(site.getusersitepackages())')
mkdir -p "$user_site" || say "$HOME is not writable for user $uid: pip cannot install packages"

# fastai's untar_data looks for data sets where gpubox puts them, and what it fetches itself outlives the container.
fastai=${FASTAI_HOME:-$HOME/.fastai}
if [ ! -e "$fastai/config.ini" ]; then
  { mkdir -p "$fastai" && printf '%s\n' '[DEFAULT]' 'data = /data' 'archive = archive' 'storage = tmp' 'model = models' \
    >"$fastai/config.ini"; } || say "$fastai cannot be written: untar_data will not look in /data"
fi

if [ $# -gt 0 ]; then
  PATH=$theirs
  exec "$@"
fi

# The manifest says which version of a starter was put there: a file that still is that version is the image's to
# update, any other is the person's.
seed_starter() { # SOURCE FOLDER
  name=${1##*/}
  target=$2/$name
  manifest=$2/.gpubox-starters
  new=$(sha256sum <"$1") || return
  line="${new%% *}  $name"
  # A pipe would be waited at for ever.
  if [ -e "$target" ] && [ ! -f "$target" ]; then
    say "$target is no file, and stays as it is"
    return
  fi
  if [ -e "$target" ]; then
    old=$(sha256sum <"$target") || return
    if [ "$old" != "$new" ] && ! grep -qsxF "${old%% *}  $name" "$manifest"; then
      say "$target is your own version and stays as it is"
      return
    fi
  else
    old=
  fi
  if [ "$old" != "$new" ]; then
    { cp "$1" "$2/.$name.partial" && mv -f "$2/.$name.partial" "$target"; } || return
  fi
  grep -qsxF "$line" "$manifest" || echo "$line" >>"$manifest"
}

seed_starters() { # SOURCE FOLDER
  mkdir -p "$2" &&
    for starter in "$1"/*.ipynb; do
      seed_starter "$starter" "$2" || return
    done
}

seed_data() { # SOURCE FOLDER
  [ ! -e "$2" ] || return 0
  # In the same folder, so that the rename is one step: the set is there as a whole or not at all.
  staging=${2%/*}/.${2##*/}.partial
  if ! { rm -rf "$staging" && cp -R "$1" "$staging" && mv -T "$staging" "$2"; }; then
    rm -rf "$staging"
    return 1
  fi
}

# A folder that cannot be written (read-only, full, another owner) is the person's to mend; Jupyter works without.
seed() { # FUNCTION SOURCE FOLDER
  if messages=$(
    # Another notebook on the same folders may be starting as well. Where locks do not work, go on without.
    { exec 9<"${3%/*}" && { flock -w 60 9 || :; } && "$1" "$2" "$3"; } 2>&1
  ); then
    [ -z "$messages" ] || printf '%s\n' "$messages" >&2
  else
    say "could not fill $3: $(printf '%s\n' "$messages" | tail -n 1)"
    say "check that ${3%/*} can be written by user $uid and is not full. Jupyter starts without it; restart the container" \
      "to try again."
  fi
}

case ${GPUBOX_STARTERS:-yes} in
no) ;;
*)
  seed seed_starters /opt/gpubox/starters /code/starters
  seed seed_data /opt/gpubox/data/shapes /data/shapes
  ;;
esac

# What a killed server left behind would be taken for a running one.
rm -rf "$JUPYTER_RUNTIME_DIR"

# A package of the person's may keep the server from starting, or have it start as one that serves something else. It then goes
# without them, and says so; notebooks and terminals have them all the same (see jupyter_server_config.py).
if [ -n "$(ls -A "$user_site" 2>/dev/null)" ] && ! reason=$(/opt/gpubox/bin/gpubox-packages --server); then
  say "JupyterLab does not go with packages of yours, so it starts without them: $(printf '%s\n' "$reason" | head -n 1)"
  say "notebooks and terminals have them; if no kernel starts, or to have the image's own again, in a terminal:" \
    "$(printf '%s\n' "$reason" | tail -n 1)"
  export PYTHONNOUSERSITE=1
  PATH=$theirs
  exec /usr/local/bin/jupyter-lab
fi
PATH=$theirs
exec jupyter lab
