#!/bin/sh
# Makes the folders of a stack: ROOT, ROOT/code and ROOT/data, and in these two the .gpubox that notebooks do not see.
#
#   ROOT   absolute, or "~" / "~/..." for the home of the person this runs as
#
# stdout: ROOT as an absolute path. Exit: 0 done, 1 failed, 2 bad parameter, 3 the person's files are in the way.
# What is there already is left as it is, modes included: a person's 700 stays 700. Links of the person's are followed. Those of
# others are refused: a notebook would be given, with the person's rights, whatever the others let them lead to.
set -eu
topic=prepare
# shellcheck source=host-scripts/common.sh
. ./common.sh

absolute_root

# The owner's name, or the uid where the machine knows no name for it.
# shellcheck disable=SC2012 # stat has no options that Linux and macOS share
owner() { ls -ldL "$1" | awk '{ print $3 }'; }
chown_command() { printf 'sudo chown -R %s:%s %s' "$(id -u)" "$(id -g)" "$(quoted "$1")"; }

# foreign_link PATH: the first link of somebody else on the way to it, those that links lead to included, and whose it is. Root's
# own above it, such as /home, are the machine's.
foreign_link() {
  to=$1 at='' links=''
  while [ -n "$to" ]; do
    part=${to%%/*}
    case $to in */*) to=${to#*/} ;; *) to= ;; esac
    case $part in
      '' | .) continue ;;
      ..) at=${at%/*} && continue ;;
    esac
    if [ ! -L "$at/$part" ]; then
      at=$at/$part
      continue
    fi
    # shellcheck disable=SC2012
    uid=$(ls -ldn "$at/$part" | awk '{ print $3 }')
    case $to$links in *[!/]*) trusted=0 ;; *) trusted='' ;; esac
    if [ "$uid" != "$(id -u)" ] && [ "$uid" != "$trusted" ]; then
      printf '%s\n' "$at/$part"
      return
    fi
    links=x$links
    # A circle: the system follows no more than 40.
    if [ "${#links}" -gt 40 ]; then return; fi
    link=$(readlink "$at/$part")
    to=$link/$to
    case $link in /*) at= ;; esac
  done
}

refuse_foreign_link() {
  found=$(foreign_link "$1")
  if [ -z "$found" ]; then return; fi
  # shellcheck disable=SC2012
  by=$(ls -ld "$found" | awk '{ print $3 }')
  fail 3 "$found is a link of $by's, who can let it lead to any folder of yours, and a notebook would be given that; it is not used" \
    "  where it leads now:  ls -ld $(quoted "$found")" \
    "  give that as root in the config, or make the link your own:  sudo chown -h $(id -u):$(id -g) $(quoted "$found")"
}

folder() {
  above=$1
  until [ -e "$above" ] || [ -L "$above" ]; do above=$(dirname "$above"); done
  if [ ! -d "$above" ]; then
    fail 3 "$1 cannot be a folder: $above is a file, or a link that leads nowhere" \
      "  move it away:  mv $(quoted "$above") $(quoted "$above.mine")"
  fi
  if [ "$above" != "$1" ]; then
    if [ ! -w "$above" ] || [ ! -x "$above" ]; then
      fail 1 "cannot make $1: $above belongs to $(owner "$above") and $(person) may not write there" \
        "  make it once by hand:  sudo mkdir -p $(quoted "$1") && $(chown_command "$1")" \
        "  or choose another root in the config"
    fi
    mkdir -p "$1" || fail 1 "cannot make $1"
    say "made $1"
  fi
  if [ ! -w "$1" ] || [ ! -x "$1" ]; then
    # A bind mount whose folder did not exist was made by the Docker daemon, so as root.
    fail 1 "$1 belongs to $(owner "$1") and $(person) may not write there (an earlier docker run made it, perhaps)" \
      "  take it over:  $(chown_command "$1")"
  fi
}

# A container that ran as root leaves files behind that the person cannot change; say so before they find out.
foreign_entries() {
  # shellcheck disable=SC2012 # only lines are counted; find would walk the whole tree
  count=$(ls -lAn "$1" | awk -v me="$(id -u)" 'NF > 8 && $3 != me' | wc -l)
  if [ "$(id -u)" != 0 ] && [ "$count" -gt 0 ]; then
    say "note: $((count)) entries of $1 belong to someone else; to take them over:  $(chown_command "$1")"
  fi
}

for path in "$ROOT" "$ROOT/code" "$ROOT/data"; do refuse_foreign_link "$path"; done
for path in "$ROOT" "$ROOT/code" "$ROOT/data"; do folder "$path"; done
for path in "$ROOT/code" "$ROOT/data"; do
  foreign_entries "$path"
  # The container runtime, which mounts something over it, would make it as root.
  own_states "$path"
done

cd "$ROOT"
pwd
