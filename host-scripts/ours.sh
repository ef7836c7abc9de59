# What below ROOT/code and ROOT/data gpubox put there. Taken in by a line `. ./ours.sh`, in whose place a host is sent this text.
# shellcheck shell=sh disable=SC2154 # ROOT, KIND and target, which is ROOT/KIND/FOLDER, are set by the script that takes this in

# Whether a path, or a folder on the way to it, is a link: what is behind it was not put there by us.
is_linked() {
  path=$1
  while [ "$path" != "$ROOT/$KIND" ]; do
    if [ -L "$path" ]; then return 0; fi
    path=$(dirname "$path")
  done
  return 1
}

REMOVING=.gpubox-removing.json

is_ours() {
  if [ ! -d "$1" ] || is_linked "$1"; then return 1; fi
  case $KIND in
    code) [ -d "$1/.git" ] && [ ! -L "$1/.git" ] && [ -f "$1/.git/gpubox" ] ;;
    data) is_file "$1/.gpubox.json" || is_file "$1/$REMOVING" ;;
  esac
}

# The folders of this entry that are ours, each as "call FOLDER".
each_of_ours() {
  if is_ours "$target"; then "$1" "$target"; fi
  if [ "$KIND" = code ]; then return; fi
  for version in "$target"-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]; do
    # Another entry may have a name of this form.
    if is_ours "$version" && { read_mark "$version/.gpubox.json" && read_mark "$version/$REMOVING"; } |
      grep -q "\"sha256\": *\"${version##*-}"; then "$1" "$version"; fi
  done
}
