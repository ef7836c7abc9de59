# Git on our own terms, for the scripts that work on a person's checkouts. Taken in by a line `. ./git.sh`.
# shellcheck shell=sh disable=SC2154 # ROOT is set by the script that takes this in
#
# Whatever is below ROOT/code, .git included, can be written by code in a notebook at any moment. So no git of ours opens a
# checkout's .git as its repository, or its files as a work tree: see docs/adr/0005-git-on-the-host.md.
#
#   reader   a repository of ours that shows what a .git holds: its refs, logs, index and objects, a configuration of our own
#   twin     a repository of ours with the commits that a checkout is moved between; whatever gets in is hashed on its way
#
# FOLDER/.git/gpubox says what code.sh put there, a line each: url, ref, name (the full name of a tag or branch), commit, and
# with (what it was furnished with: history, submodules, lfs). It is the notebook's word, good enough for what is the notebook's.

# field FILE NAME
field() { sed -n "s/^$2=\([^[:cntrl:]]*\)\$/\1/p" "$1" | head -n 1; }
# The same where it is a commit.
commit_field() { field "$1" "$2" | grep -Ex '[0-9a-f]{40}' || :; }

# The program that does what is to be done where a notebook can write.
tree_program() {
  cat <<'PYTHON'
. ./tree.py
PYTHON
}
tree() { python3 -I -c "$(tree_program)" "$ROOT/code" "$@"; }

# From now on git takes nothing from our caller's repository (of a hook, say), and fetches what LFS holds where that is asked for,
# not with every checkout on a machine that has git-lfs.
on_our_terms() {
  # shellcheck disable=SC2046
  unset $(git rev-parse --local-env-vars)
  GIT_LFS_SKIP_SMUDGE=1
  export GIT_LFS_SKIP_SMUDGE
  code_folder=$(cd -P "$ROOT/code" && pwd -P)
}

# git_in GITDIR ARGUMENT...: in a repository of ours. fsmonitor would start a daemon that inherits the lock; hooks are the
# person's, not for our moves; a pack is kept as it comes: unpacked, it would be there in part after a kill, the commit first.
git_in() {
  repository=$1
  shift
  if have git-lfs; then
    set -- -c "filter.lfs.clean=git-lfs clean -- %f" -c "filter.lfs.smudge=git-lfs smudge -- %f" \
      -c "filter.lfs.process=git-lfs filter-process" -c filter.lfs.required=true "$@"
  fi
  git --git-dir="$repository" -c core.fsmonitor=false -c core.hooksPath=/dev/null -c gc.auto=0 -c maintenance.auto=false \
    -c submodule.recurse=false -c fetch.recurseSubmodules=false -c fetch.unpackLimit=1 "$@"
}

# git_at GITDIR TREE ARGUMENT...: the same with files in a folder of ours.
git_at() {
  gitdir_of_tree=$1
  tree_of_files=$2
  shift 2
  git_in "$gitdir_of_tree" --work-tree="$tree_of_files" -C "$tree_of_files" "$@"
}

# --- writing where a notebook can write as well -----------------------------------------------------------------------

# Into a folder below ROOT/code, and nowhere else: not through a link. What is done from there by plain names stays there, even
# if the folder gets another name meanwhile.
enter_code() { cd -P "$1" 2>/dev/null && [ "$(pwd -P)" = "$code_folder${1#"$ROOT/code"}" ]; }

# within FOLDER COMMAND...
within() (
  enter_code "$1" || fail 3 "$1 is gone, or behind a link; what was to be written there was not"
  shift
  "$@"
)

# put FILE FOLDER NAME
put() { within "$2" rename "$1" "./$3"; }

# make_folders FOLDER PATH: those that are not there yet.
make_folders() {
  case $2 in */*) make_folders "$1" "${2%/*}" ;; esac
  if [ ! -d "$1/$2" ]; then within "$(dirname "$1/$2")" mkdir "${2##*/}"; fi
}

# --- reader -----------------------------------------------------------------------------------------------------------

# make_reader GITDIR READER: or says in $why what is wrong with it.
make_reader() {
  rm -rf "$2"
  mkdir -p "$2"
  git -C / init --quiet --bare --template= "$2"
  rm -rf "$2/HEAD" "$2/refs"
  {
    echo '[core]'
    # Nor indexes of objects that could lie about them.
    echo 'commitGraph = false'
    echo 'multiPackIndex = false'
    echo '[uploadpack]'
    echo 'allowAnySHA1InWant = true'
  } >>"$2/config"
  why=$(tree snapshot "$1" "$2" 2>&1) || return 1
  if [ -f "$2/theirs" ] && ! git -C / config --no-includes --file "$2/theirs" --list >"$2/log" 2>&1; then
    why=$(head -n 1 "$2/log")
  elif [ "$(theirs "$2" extensions.objectformat)" = sha256 ] || theirs "$2" extensions.refstorage | grep -qvx files; then
    why="its .git is in a format that gpubox does not know"
  elif ! git_in "$2" rev-parse --git-dir >/dev/null 2>&1; then
    why="its .git is no repository"
  fi
  [ -z "$why" ]
}

# theirs READER KEY: what a checkout's own configuration has for a key, as a text to compare and no more.
theirs() { if [ -f "$1/theirs" ]; then git -C / config --no-includes --file "$1/theirs" --get "$2" || :; fi; }

head_of() { git_in "$1" rev-parse --verify --quiet HEAD || echo nothing; }
has_commit() { git_in "$1" cat-file -e "$2^{commit}" 2>/dev/null; }

# --- what a checkout holds --------------------------------------------------------------------------------------------

# look REPOSITORY INDEX TREE FOLDER: compares a work tree with an index, and says in FOLDER/lines, as git does, what is not the same.
# Filters and line endings of a commit can make git call files modified that nobody touched: what has the very bytes is the same.
look() {
  rm -rf "$4"
  mkdir -p "$4/files"
  : >"$4/modified"
  GIT_INDEX_FILE=$2 git_in "$1" ls-files -s -t -z >"$4/entries" || return
  tree compare "$3" "$4" <"$4/entries" >"$4/lines" || return
  if [ "$(cat "$4/other")" = "{}" ]; then return; fi
  # An index that knows of no file yet, or git would believe a size that was noted under other rules.
  GIT_INDEX_FILE=$2 git_in "$1" ls-files -s -z | GIT_INDEX_FILE=$4/index git_in "$1" update-index -z --index-info
  GIT_INDEX_FILE=$4/index git_at "$1" "$4/files" update-index -q --refresh >/dev/null || :
  GIT_INDEX_FILE=$4/index git_at "$1" "$4/files" diff-files -z --name-only --diff-filter=MTU --ignore-submodules=all >"$4/modified" || return
  tr '\n\000' '?\n' <"$4/modified" | sed 's/^/ M /' >>"$4/lines"
}

# changes READER TREE: git's lines for what is not as it is in HEAD, untracked files aside.
changes() {
  look "$1" "$1/index" "$2" "$1/look" || return
  if [ "$(head_of "$1")" != nothing ]; then
    git_in "$1" diff-index --cached --name-status --no-renames --ignore-submodules=all HEAD | awk -F '\t' '{ print $1 "  " $2 }'
  fi
  cat "$1/look/lines"
}

# submodules_of GITDIR COMMIT: a line for each, of its commit, path and name, which is empty where .gitmodules has none.
submodules_of() {
  rm -f "$1/listed"
  # An index takes no path that leads elsewhere.
  GIT_INDEX_FILE=$1/listed git_in "$1" read-tree "$2" || return
  GIT_INDEX_FILE=$1/listed git_in "$1" -c core.quotePath=false ls-files --stage |
    sed -n 's/^160000 \([0-9a-f]*\) 0\(	\)/\1\2/p' >"$1/gitlinks"
  [ -s "$1/gitlinks" ] || return 0
  gitmodule "$1" "$2" -z --get-regexp '^submodule\..*\.path$' | tr '\n\000' '\t\n' |
    awk -F '\t' '
      names { name = $1; sub(/^submodule\./, "", name); sub(/\.path$/, "", name); named[$2] = name; next }
      { print $1 "\t" $2 "\t" named[$2] }
    ' names=1 - names= "$1/gitlinks"
}

# gitmodule GITDIR COMMIT OPTION...: out of .gitmodules as the commit has it.
gitmodule() {
  gitmodules_in=$1
  gitmodules_of=$2
  shift 2
  git_in "$gitmodules_in" config --blob "$gitmodules_of:.gitmodules" "$@" 2>/dev/null || :
}
