#!/bin/sh
# Puts one git repository at a pinned commit into ROOT/code/FOLDER.
#
#   ROOT     absolute, or "~/..."; ROOT/code exists (prepare.sh)
#   URL      what git fetches from; without credentials in it (the person's agent or credential helper has those)
#   REF      a commit (40 hex digits, or at least 7), a tag or a branch; a branch is resolved once, at the first run
#   FOLDER   relative to ROOT/code
#
# stdout: the folder as an absolute path; stderr ends in "created|updated|unchanged: ...".
# Exit: 0 done, 1 failed, 2 bad parameter, 3 the person's files are in the way.
#
# ROOT/code/.gpubox/<folder>/ holds the lock and the half-made clone; FOLDER/.git/gpubox says what was put there.
# An existing checkout is only ever moved on when it is where this script left it and has no local changes.
set -eu
topic="code ${FOLDER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

field() { sed -n "s/^$2=//p" "$1"; }

# --- parameters -------------------------------------------------------------------------------------------------------

has_credentials() {
  printf '%s' "$1" | grep -Eq '^(https?://[^/]*@|[a-z0-9+]+://[^/@]*:[^/@]*@)'
}

absolute_root
if control_character "${URL-}${REF-}"; then fail 2 "url and ref may not hold control characters"; fi
check_folder code
case ${URL-} in
  '' | -*) fail 2 "url: '${URL-}' is not a git url" ;;
esac
if has_credentials "$URL"; then
  fail 2 "url: it has credentials in it, which would end up in logs and in .git/config" \
    "  write it without them, and let git ask a helper on this machine:  git config --global credential.helper store"
fi
have git || fail 1 "git is not installed on this machine" "  for instance:  sudo apt-get install git"
git check-ref-format "refs/heads/${REF-}" || fail 2 "ref: '${REF-}' is not a commit, tag or branch"

target=$ROOT/code/$FOLDER
state=$(state_folder code)

# --- git, on its own terms --------------------------------------------------------------------------------------------

# The variables of a git that happens to call us (a hook, say) would point ours at its repository.
# shellcheck disable=SC2046
unset $(git rev-parse --local-env-vars)
export GIT_TERMINAL_PROMPT=0
# Without this, a broken target/.git would make git work on a repository further up.
GIT_CEILING_DIRECTORIES=$(dirname "$target")
export GIT_CEILING_DIRECTORIES
if [ -z "${GIT_SSH_COMMAND-}" ] && ! git config --global core.sshCommand >/dev/null; then
  export GIT_SSH_COMMAND='ssh -o BatchMode=yes -o ConnectTimeout=20'
fi

# fsmonitor would start a daemon that inherits the lock; hooks are the person's, not for our moves.
git_in() {
  repo=$1
  shift
  git -C "$repo" -c core.fsmonitor=false -c core.hooksPath=/dev/null -c gc.auto=0 -c maintenance.auto=false "$@"
}

# A git command that may talk to the server. Descriptor 9 is the lock: an ssh master or a credential daemon that git
# starts would keep it for as long as it lives.
online() {
  from=$1
  shift
  git_in "$from" -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "$@" 9>&- 2>"$state/git.log"
}

unreachable() {
  sed 's/^/  git: /' "$state/git.log" >&2
  fail 1 "cannot fetch $URL" "  what the machine says to that:  git ls-remote $(quoted "$URL")"
}

has_commit() { git_in "$1" cat-file -e "$2^{commit}" 2>/dev/null; }
fetch_all() { online "$1" fetch --quiet --tags origin '+refs/heads/*:refs/remotes/origin/*'; }

# Brings REF into repository $1 and sets $commit.
resolve() {
  if printf '%s' "$REF" | grep -Eq '^[0-9a-fA-F]{40}$'; then
    commit=$(printf '%s' "$REF" | tr 'A-F' 'a-f')
    if ! has_commit "$1" "$commit"; then
      say "fetching commit $commit of $URL"
      # Not every server hands out a commit by its name; what it has on branches and tags, any server does.
      online "$1" fetch --quiet origin "$commit" || fetch_all "$1" || unreachable
    fi
    has_commit "$1" "$commit" || fail 1 "ref: $URL has no commit $commit"
    return
  fi
  say "looking for $REF in $URL"
  refs=$(online "$1" ls-remote origin "refs/tags/$REF" "refs/heads/$REF") || unreachable
  case $refs in
    *"refs/tags/$REF"*) name=refs/tags/$REF ;;
    *"refs/heads/$REF"*) name=refs/heads/$REF ;;
    *) name= ;;
  esac
  if [ -n "$name" ]; then
    say "fetching $name of $URL"
    online "$1" fetch --quiet origin "$name" || unreachable
    commit=$(git_in "$1" rev-parse --verify --quiet 'FETCH_HEAD^{commit}') || fail 1 "ref: $name of $URL is no commit"
    return
  fi
  if printf '%s' "$REF" | grep -Eq '^[0-9a-fA-F]{7,39}$'; then
    fetch_all "$1" || unreachable
    if commit=$(git_in "$1" rev-parse --verify --quiet "$REF^{commit}"); then return; fi
  fi
  fail 1 "ref: $URL has no commit, tag or branch $REF" "  what it has:  git ls-remote $(quoted "$URL")"
}

# --- what can be at the target ----------------------------------------------------------------------------------------

result() {
  say "$1: $target is at $2"
  printf '%s\n' "$target"
  exit 0
}

in_the_way() {
  fail 3 "$target $1; it is left as it is" \
    "  move it away and run again:  mv $(quoted "$target") $(quoted "$target.mine")" \
    "  or give this entry of code: another folder"
}

remember() {
  printf 'url=%s\nref=%s\ncommit=%s\n' "$URL" "$2" "$3" >"$1/gpubox.new"
  mv "$1/gpubox.new" "$1/gpubox"
}

create() {
  chmod -R u+rwX "$state"/clone.* 2>/dev/null || :
  # A git that outlived a killed run may still write into its clone; the next run clears what stays now.
  rm -rf "$state"/clone.* || :
  clone=$(mktemp -d "$state/clone.XXXXXX")
  chmod 755 "$clone"
  git_in "$clone" init --quiet --template=
  git_in "$clone" remote add origin "$URL"
  resolve "$clone"
  git_in "$clone" checkout --quiet --detach "$commit" || fail 1 "cannot check out $commit of $URL in $clone"
  [ "$(git_in "$clone" rev-parse HEAD)" = "$commit" ] || fail 1 "$clone is not at $commit after the checkout"
  remember "$clone/.git" "$REF" "$commit"
  flush "$clone"
  mkdir -p "$(dirname "$target")"
  if [ -d "$target" ] && [ ! -L "$target" ]; then rmdir "$target" || in_the_way "was filled in the meantime"; fi
  if [ -e "$target" ] || [ -L "$target" ]; then in_the_way "was made in the meantime"; fi
  mv "$clone" "$target"
  flush "$target"
  result created "$commit"
}

# A run that was killed inside `git checkout` leaves files of the old commit, of the new one, and perhaps one cut short. Before
# the checkout is brought to its end, all of it goes into a commit whose parents are the two: what git shows of such a commit is
# just what neither of them has, so the person's edits since then.
finish_interrupted() {
  old=$(field "$gitdir/gpubox.next" old)
  new=$(field "$gitdir/gpubox.next" new)
  say "an earlier run was stopped on the way from $old to $new; going on"
  rm -f "$gitdir/index.lock" "$gitdir/gpubox.index"
  GIT_INDEX_FILE=$gitdir/gpubox.index
  export GIT_INDEX_FILE
  git_in "$target" read-tree "$old"
  git_in "$target" ls-tree -r "$new" >"$state/new-tree"
  git_in "$target" update-index --replace --index-info <"$state/new-tree"
  git_in "$target" add -u
  tree=$(git_in "$target" write-tree)
  unset GIT_INDEX_FILE
  found=$(GIT_AUTHOR_NAME=gpubox GIT_AUTHOR_EMAIL=gpubox@localhost GIT_COMMITTER_NAME=gpubox \
    GIT_COMMITTER_EMAIL=gpubox@localhost git_in "$target" commit-tree -p "$old" -p "$new" \
    -m "Files as gpubox found them in an interrupted checkout" "$tree")
  edited=$(git_in "$target" diff-tree -c --no-commit-id --name-only "$found")
  if [ -n "$edited" ]; then git_in "$target" update-ref "refs/gpubox/$found" "$found"; fi
  git_in "$target" checkout --quiet --force --detach "$new" || fail 1 "cannot check out $new in $target"
  remember "$gitdir" "$(field "$gitdir/gpubox.next" ref)" "$new"
  rm -f "$gitdir/gpubox.next" "$gitdir/gpubox.index" "$state/new-tree"
  if [ -n "$edited" ]; then
    printf '%s\n' "$edited" | head -n 10 | sed 's/^/  /' >&2
    say "note: these files were at neither commit; as they were:  git -C $(quoted "$target") show $found"
  fi
}

update() {
  changes=$(git_in "$target" status --porcelain --untracked-files=no)
  if [ -n "$changes" ]; then
    printf '%s\n' "$changes" | head -n 10 | sed 's/^/  /' >&2
    fail 3 "$target has local changes (above), so it stays at $head instead of $REF ($commit)" \
      "  put them aside and run again:  git -C $(quoted "$target") stash" \
      "  they come back with:  git -C $(quoted "$target") stash pop"
  fi
  say "from $head to $REF ($commit)"
  printf 'old=%s\nnew=%s\nref=%s\n' "$head" "$commit" "$REF" >"$gitdir/gpubox.next.new"
  mv "$gitdir/gpubox.next.new" "$gitdir/gpubox.next"
  if ! git_in "$target" checkout --quiet --detach "$commit" 2>"$state/git.log"; then
    rm -f "$gitdir/gpubox.next"
    sed 's/^/  git: /' "$state/git.log" >&2
    fail 3 "$target stays at $head: git does not go to $REF ($commit)"
  fi
  flush "$target"
  remember "$gitdir" "$REF" "$commit"
  rm -f "$gitdir/gpubox.next"
  result updated "$commit"
}

plain_url() { printf '%s' "$1" | sed -e 's|/*$||' -e 's|\.git$||'; }

existing() {
  [ -d "$target" ] || in_the_way "is not a folder"
  [ -e "$target/.git" ] || in_the_way "is not a git repository"
  if ! gitdir=$(git_in "$target" rev-parse --absolute-git-dir 2>"$state/git.log"); then
    sed 's/^/  git: /' "$state/git.log" >&2
    fail 3 "git cannot read $target" \
      "  if it belongs to someone else:  sudo chown -R $(id -u):$(id -g) $(quoted "$target")" \
      "  otherwise move it away:  mv $(quoted "$target") $(quoted "$target.mine")"
  fi
  origin=$(git_in "$target" config --get remote.origin.url || :)
  if [ "$(plain_url "$origin")" != "$(plain_url "$URL")" ]; then
    if has_credentials "$origin"; then origin="a url with credentials in it"; fi
    in_the_way "comes from ${origin:-no origin at all} instead of $URL"
  fi
  if [ -f "$gitdir/gpubox.next" ]; then finish_interrupted; fi
  head=$(git_in "$target" rev-parse --verify --quiet HEAD || echo nothing)
  if [ "$head" = "$REF" ]; then result unchanged "$head"; fi

  if [ ! -f "$gitdir/gpubox" ]; then
    resolve "$target"
    if [ "$head" = "$commit" ]; then result unchanged "$head"; fi
    fail 3 "$target was not made by gpubox, and is at $head instead of $REF ($commit); it is left as it is" \
      "  bring it there yourself:  git -C $(quoted "$target") checkout --detach $commit" \
      "  or move it away:  mv $(quoted "$target") $(quoted "$target.mine")"
  fi

  ours=$(field "$gitdir/gpubox" commit)
  if [ "$(field "$gitdir/gpubox" ref)" = "$REF" ]; then
    if [ "$head" != "$ours" ]; then say "note: it was put at $ours, and you have moved it since; it is left there"; fi
    result unchanged "$head"
  fi
  resolve "$target"
  if [ "$head" = "$commit" ]; then
    remember "$gitdir" "$REF" "$commit"
    result unchanged "$head"
  fi
  if [ "$head" != "$ours" ]; then
    fail 3 "$target is at $head, where you put it, and not at $ours; it is not moved to $REF ($commit)" \
      "  keep your commits by a name:  git -C $(quoted "$target") branch mine" \
      "  and go there yourself:  git -C $(quoted "$target") checkout --detach $commit"
  fi
  update
}

lock
if [ -e "$target" ] || [ -L "$target" ]; then
  if [ -L "$target" ] || [ ! -d "$target" ] || [ -n "$(ls -A "$target")" ]; then existing; fi
fi
create
