# Git on our own terms, for the scripts that work on a person's checkouts. Taken in by a line `. ./git.sh`.
# shellcheck shell=sh
#
# FOLDER/.git/gpubox says what code.sh put there, a line each: url, ref, name (the full name of a tag or branch), commit, and
# with (what it was furnished with: history, submodules, lfs).

# field FILE NAME
field() { sed -n "s/^$2=//p" "$1"; }

# only_below FOLDER: from now on git works in the repository it is told, or in none.
only_below() {
  # The variables of a git that happens to call us (a hook, say) would point ours at its repository.
  # shellcheck disable=SC2046
  unset $(git rev-parse --local-env-vars)
  # Without this, a broken .git would make git work on a repository further up.
  GIT_CEILING_DIRECTORIES=$1
  # What LFS holds is fetched where it is asked for, not by every checkout on a machine that has git-lfs.
  GIT_LFS_SKIP_SMUDGE=1
  export GIT_CEILING_DIRECTORIES GIT_LFS_SKIP_SMUDGE
}

# fsmonitor would start a daemon that inherits the lock; hooks are the person's, not for our moves; submodules are ours to move.
git_in() {
  repo=$1
  shift
  git -C "$repo" -c core.fsmonitor=false -c core.hooksPath=/dev/null -c gc.auto=0 -c maintenance.auto=false \
    -c submodule.recurse=false "$@"
}
