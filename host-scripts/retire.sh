#!/bin/sh
# What becomes of the files of an entry of `code` or `data` that has left the configuration, or whose stack is torn down.
#
#   ROOT    of the stack: absolute, or "~/..."
#   KIND    code or data
#   FOLDER  relative to ROOT/KIND
#   PURGE   optional: 1 removes what gpubox put there, and nothing of the person's; otherwise all of it stays
#
# stdout: without PURGE the folders that are gpubox's, one a line.
# stderr: a line for each thing, "left: ...", "kept: ..." or "removed: ...".
# Exit: 0, even where something was kept, so that nothing of it keeps a stack from being torn down; 2 bad parameter.
#
# data: FOLDER, and the versions beside it (FOLDER-<8 digits of their hash>), where .gpubox.json says that they are ours, with
# the archives kept in FOLDER.archive. Files that changed or came after that was written are the person's. While a folder is being removed the marker has another name, so
# that what is left of it after a kill is not taken for a data set.
# code: FOLDER, where .git/gpubox says that it is ours, as long as it holds nothing that the repository's server does not have.
set -eu
topic="${KIND-} ${FOLDER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/ours.sh
. ./ours.sh
# shellcheck source=host-scripts/git.sh
. ./git.sh

absolute_root
case ${KIND-} in
  code | data) ;;
  *) fail 2 "kind: '${KIND-}' is neither code nor data" ;;
esac
case ${PURGE-} in
  '' | 0 | 1) ;;
  *) fail 2 "purge: '$PURGE' is neither 1 nor empty" ;;
esac
if [ ! -d "$ROOT/$KIND" ]; then
  say "nothing is left of it: $ROOT/$KIND is not there"
  exit 0
fi
check_folder "$KIND"
target=$ROOT/$KIND/$FOLDER
state=$(state_folder "$KIND")

# kept FOLDER WHY LINE...: what there is to see goes in as lines on standard input.
kept() {
  at=$1
  shift
  show_lines
  say "kept: $at $1"
  say "  to remove it all the same:  rm -rf $(quoted "$at")"
}

# Away from its name at once: what a kill leaves of it is in nobody's way.
take_away() { rm -rf "$state/removed" && rename "$1" "$state/removed" && rm -rf "$state/removed"; }

# --- data -------------------------------------------------------------------------------------------------------------

# Removes what is below this folder and has not changed since the marker was written. Only files are looked at: folders change by
# what is removed from them, and a file by the loss of another name of its own. What is mounted inside is not ours. By find's own
# -delete: it does not go by a path again, on which a link may be by then.
remove_unchanged() {
  find . -xdev ! -type d -links +1 ! -cnewer "$REMOVING" -exec ls -di {} + | awk '{ print $1 }' | sort -u >"$state/twice"
  set -- ! -cnewer "$REMOVING"
  while read -r inode; do set -- "$@" -o -inum "$inode"; done <"$state/twice"
  find . -xdev -depth ! -type d ! -path "./$REMOVING" \( "$@" \) -delete || :
}

purge_data() (
  name=${1##*/}
  enter "$name" || exit 0
  marker=.gpubox.json
  is_file "$marker" || marker=$REMOVING
  if ! find "$marker" -prune -cnewer "$marker" >/dev/null 2>&1; then
    kept "$1" "whole: this machine's find cannot tell which files are newer than the data set" </dev/null
    exit 0
  fi
  find . -xdev -type d ! -exec test -w {} \; -print0 | lines_of_names >"$state/kept"
  if [ -s "$state/kept" ]; then
    head -n 10 "$state/kept" | kept "$1" "whole, as $(person) may not write to some of its folders"
    exit 0
  fi
  [ "$marker" = "$REMOVING" ] || rename "$marker" "$REMOVING"
  purge_archive "$1.archive"
  remove_unchanged
  find . -xdev ! -type d ! -path "./$REMOVING" -print0 | lines_of_names >"$state/kept"
  find . -xdev -depth -type d ! -path . -delete 2>/dev/null || :
  if [ -s "$state/kept" ]; then
    rm -f "$REMOVING"
    head -n 10 "$state/kept" | kept "$1" "with $(($(wc -l <"$state/kept"))) files that you changed or added"
  elif [ "$(ls -A)" = "$REMOVING" ] && take_away "../$name"; then
    say "removed: $1"
  else
    kept "$1" "as something in it cannot be removed" </dev/null
  fi
)

# The download that was kept beside a data set; called where the marker is.
purge_archive() {
  archive=../${1##*/}
  if [ ! -d "$archive" ] || [ -L "$archive" ]; then return; fi
  find "$archive" -xdev -depth -type f ! -cnewer "$REMOVING" -delete || :
  if rmdir "$archive" 2>/dev/null; then
    say "removed: $1"
  else
    find "$archive" ! -type d -print0 | lines_of_names | head -n 10 | kept "$1" "with files that you changed or added"
  fi
}

# --- code -------------------------------------------------------------------------------------------------------------

# Commits that are in a repository and were not fetched: of branches, tags and stashes, and those that only git's log of past
# heads still names. $2 is the commit that was put there.
own_commits() {
  {
    git_in "$1" for-each-ref --format='%(refname) %(objectname)' |
      sed -e 's|^refs/remotes/[^ ]* |^|' -e 's|^refs/gpubox-tags/[^ ]* |^|' -e 's|^refs/[^ ]* ||'
    git_in "$1" log --walk-reflogs --format='%H %gs' HEAD | sed -n '/^[0-9a-f]* \(checkout\|clone\): /!s/ .*//p'
    printf 'HEAD\n^%s\n' "$2"
  } >"$state/commits"
  git_in "$1" log --stdin --ignore-missing --max-count 10 --format='commit %h %s' <"$state/commits"
}

# own_work TREE GITDIR COMMIT READER: a line for each thing in a repository, or one below it, that its server does not have.
own_work() (
  if [ "$(head_of "$4")" != "$3" ]; then echo "you moved it away from $3: $1"; fi
  changes "$4" "$1"
  tree untracked "$1" <"$4/look/entries"
  # Files that git was told not to look at.
  git_in "$4" ls-files -v | sed -n '/^[a-zS] /p'
  own_commits "$4" "$3"
  tree worktrees "$2"
  if [ ! -d "$2/modules" ]; then exit; fi
  submodules_of "$4" "$3" >"$4/submodules"
  n=0
  while IFS='	' read -r commit path module; do
    n=$((n + 1))
    if [ -e "$2/modules/$module" ] && [ -e "$1/$path/.git" ]; then
      if make_reader "$2/modules/$module" "$4.$n"; then
        own_work "$1/$path" "$2/modules/$module" "$commit" "$4.$n" </dev/null
      else
        echo "git cannot read $1/$path: $why"
      fi
    fi
  done <"$4/submodules"
)

purge_code() {
  for program in git python3; do
    if ! have "$program"; then
      kept "$1" "as $program is not installed, which it takes to say what in it is yours" </dev/null
      return
    fi
  done
  on_our_terms
  if ! make_reader "$1/.git" "$state/reader"; then
    printf '%s\n' "$why" | kept "$1" "as git cannot read it"
    return
  fi
  # What git complains of counts as well.
  own_work "$1" "$1/.git" "$(commit_field "$state/reader/gpubox" commit)" "$state/reader" >"$state/kept" 2>&1 ||
    echo "git fails" >>"$state/kept"
  discard "$state"/reader*
  if [ -s "$state/kept" ]; then
    head -n 10 "$state/kept" | kept "$1" "with what only it has (above)"
  elif take_away "./${1##*/}"; then
    say "removed: $1"
  else
    kept "$1" "as it cannot be removed" </dev/null
  fi
}

# --- what is to be done -----------------------------------------------------------------------------------------------

leave() {
  say "left: $1 (\`npm run purge\` removes it)"
  printf '%s\n' "$1"
}

if [ "${PURGE-}" != 1 ]; then
  each_of_ours leave
  exit 0
fi

if is_linked "$target"; then
  say "kept: $target is a link, or behind one"
  exit 0
fi
found=$(intruder)
if [ -n "$found" ]; then
  say "kept: $target, as $found was not put there by gpubox (a link, or another user's)"
  say "  look at it, and mend it:  $(intruder_command "$found")"
  exit 0
fi
if ! mkdir -p "$state" 2>/dev/null || [ ! -w "$state" ] || { [ -e "$state/lock" ] && [ ! -w "$state/lock" ]; }; then
  say "kept: $target, as $(person) may not write to $state"
  exit 0
fi
lock
if enter_parent look; then each_of_ours "purge_$KIND"; fi
if [ -e "$target" ] && ! is_ours "$target"; then say "left: $target, of which nothing was put there by gpubox"; fi
rm -f "$state/kept" "$state/twice" "$state/commits"
if [ -n "$(each_of_ours echo)" ]; then exit 0; fi
# Half-made downloads and clones. Whoever waits for the lock meanwhile ends with an error, as the folder is gone.
discard "$state"
# The folders that a nested one was put into, as far as nothing else is in them.
if enter_parent look; then
  above=$(dirname "$FOLDER")
  while [ "$above" != . ] && cd -P .. && rmdir "./${above##*/}" 2>/dev/null; do above=$(dirname "$above"); done
fi
