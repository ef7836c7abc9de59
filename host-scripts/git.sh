# Git on our own terms, for the scripts that work on a person's checkouts. Taken in by a line `. ./git.sh`.
# shellcheck shell=sh disable=SC2154 # ROOT is set by the script that takes this in
#
# Whatever is below ROOT/code, .git included, can be written by code in a notebook. So no git of ours opens a checkout's .git as
# its repository: see docs/adr/0005-git-on-the-host.md.
#
#   reader   a repository of ours that shows what a .git holds: copies of its refs, logs and index, a configuration of our own
#   twin     a repository of ours with the commits that a checkout is moved between; whatever gets in is hashed on its way
#
# FOLDER/.git/gpubox says what code.sh put there, a line each: url, ref, name (the full name of a tag or branch), commit, and
# with (what it was furnished with: history, submodules, lfs). It is the notebook's word, good enough for what is the notebook's.

# field FILE NAME
field() { sed -n "s/^$2=\([^[:cntrl:]]*\)\$/\1/p" "$1" | head -n 1; }
# The same where it is a commit.
commit_field() { field "$1" "$2" | grep -Ex '[0-9a-f]{40}' || :; }

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

# git_at GITDIR TREE ARGUMENT...: the same with the files of a checkout.
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

# What is taken from a .git: no configuration, no hooks, no attributes.
TAKEN="HEAD packed-refs shallow index gpubox gpubox.next gpubox.busy refs logs"

# make_reader GITDIR READER: or says in $why what is wrong with it.
make_reader() {
  why=
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
  if ! (enter_code "$1") || [ -z "$(find "$1" -prune -type d -user "$(id -u)")" ]; then
    why="its .git is a link, or not a folder of yours"
    return 1
  fi
  (
    enter_code "$1" || exit
    for each in $TAKEN; do
      if [ -e "$each" ] || [ -L "$each" ]; then cp -RPp "./$each" "$2/$each"; fi
    done
    if [ -e config ] || [ -L config ]; then cp -RPp config "$2/theirs"; fi
  ) 2>"$2/cp.log" || why="its .git cannot be copied: $(head -n 1 "$2/cp.log")"
  # The copy cannot change any more while it is looked at.
  linked=$(
    (cd "$2" && find . ! -type d ! -type f)
    (enter_code "$1/objects" && find . -type l)
  )
  if [ -n "$linked" ]; then
    why="its .git has links where git makes none: $(printf '%s\n' "$linked" | sed 's|^\./||' | head -n 3 | tr '\n' ' ')"
  elif [ -z "$why" ] && ! (enter_code "$1/objects"); then
    why="its .git/objects is a link, or no folder"
  elif [ -e "$1/objects/info/alternates" ] || [ -e "$1/objects/info/http-alternates" ]; then
    why="it borrows objects of another repository (.git/objects/info/alternates)"
  elif [ -f "$2/theirs" ] && ! git -C / config --no-includes --file "$2/theirs" --list >"$2/cp.log" 2>&1; then
    why="$(head -n 1 "$2/cp.log")"
  elif [ "$(theirs "$2" extensions.objectformat)" = sha256 ] || theirs "$2" extensions.refstorage | grep -qvx files; then
    why="its .git is in a format that gpubox does not know"
  fi
  [ -z "$why" ] || return 1
  mkdir -p "$2/objects/info"
  printf '%s\n' "$1/objects" >"$2/objects/info/alternates"
  if ! git_in "$2" rev-parse --git-dir >/dev/null 2>"$2/cp.log"; then
    why="its .git is no repository"
    return 1
  fi
}

# theirs READER KEY: what a checkout's own configuration has for a key, as a text to compare and no more.
theirs() { if [ -f "$1/theirs" ]; then git -C / config --no-includes --file "$1/theirs" --get "$2" || :; fi; }

head_of() { git_in "$1" rev-parse --verify --quiet HEAD || echo nothing; }
has_commit() { git_in "$1" cat-file -e "$2^{commit}" 2>/dev/null; }

# --- what a checkout holds --------------------------------------------------------------------------------------------

# changes READER TREE [OPTION...]: git's lines for what is not as it is in HEAD. Filters and line endings of a commit can make
# git call files modified that nobody touched: what has the very bytes of the commit is unchanged. The reader's index is
# brought to say so as well, and so lets git move on.
changes() {
  reader_of_tree=$1
  tree_of_reader=$2
  shift 2
  set -- --porcelain --ignore-submodules=all "$@"
  GIT_OPTIONAL_LOCKS=0 git_at "$reader_of_tree" "$tree_of_reader" status "$@" >"$reader_of_tree/changes" || return
  if grep -q '^ M ' "$reader_of_tree/changes"; then
    as_they_are "$reader_of_tree" "$tree_of_reader"
    GIT_OPTIONAL_LOCKS=0 git_at "$reader_of_tree" "$tree_of_reader" status "$@" >"$reader_of_tree/changes" || return
  fi
  cat "$reader_of_tree/changes"
}

as_they_are() {
  # As if nothing were known of those files: git believes a size that it noted under other rules.
  git_at "$1" "$2" diff-files --ignore-submodules=all --diff-filter=M >"$1/modified"
  awk -F '\t' '{ split(substr($1, 2), has, " "); print has[1] " " has[3] " 0\t" $2 }' "$1/modified" |
    git_in "$1" update-index --index-info
  mkdir -p "$1/info"
  echo '* -text -ident !filter !eol !working-tree-encoding' >"$1/info/attributes"
  git_at "$1" "$2" -c core.autocrlf=false update-index -q --refresh >/dev/null || :
  rm -f "$1/info/attributes"
  # Git looks again, by the other rules, at files as new as its index.
  touch -t 203712310000 "$1/index"
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
