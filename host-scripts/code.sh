#!/bin/sh
# Puts one git repository at a commit, tag or branch into ROOT/code/FOLDER.
#
#   ROOT        absolute, or "~/..."; ROOT/code exists (prepare.sh)
#   URL         what git fetches from; without credentials in it (the person's agent or credential helper has those)
#   REF         a commit (40 hex digits, or at least 7), a tag or a branch
#   FOLDER      relative to ROOT/code
#   UPDATE      optional: 1 looks up the tag or branch anew; otherwise it stays at the commit of the first run
#   SHALLOW     optional: 1 (the default) fetches the commit alone, where the server allows it; 0 its whole history
#   SUBMODULES  optional: 1 fetches its submodules as well, and theirs
#   LFS         optional: 1 fetches the files that Git LFS holds; otherwise their pointers stay
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
# shellcheck source=host-scripts/progress.sh
. ./progress.sh
# shellcheck source=host-scripts/git.sh
. ./git.sh

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
    "  write it without them, and let git ask a helper on $(uname -n):  git config --global credential.helper store"
fi
case ${UPDATE:=0}${SHALLOW:=1}${SUBMODULES:=0}${LFS:=0} in
  [01][01][01][01]) ;;
  *) fail 2 "update, shallow, submodules and lfs may be 0 or 1" ;;
esac
have git || fail 1 "git is not installed on this machine" "  for instance:  sudo apt-get install git"
if [ "$LFS" = 1 ] && ! have git-lfs; then
  fail 1 "git-lfs is not installed on this machine" "  for instance:  sudo apt-get install git-lfs"
fi
git check-ref-format "refs/heads/${REF-}" || fail 2 "ref: '${REF-}' is not a commit, tag or branch"

target=$ROOT/code/$FOLDER
state=$(state_folder code)
only_below "$(dirname "$target")"

# What the checkout is to have beside the commit itself.
wanted=
[ "$SHALLOW" = 1 ] || wanted="$wanted history"
[ "$SUBMODULES" = 0 ] || wanted="$wanted submodules"
[ "$LFS" = 0 ] || wanted="$wanted lfs"

# --- the server -------------------------------------------------------------------------------------------------------

# Nobody is there to answer: a login is the business of the person's agent and credential helper.
export GIT_TERMINAL_PROMPT=0 GCM_INTERACTIVE=never
unset SSH_ASKPASS
if [ -z "${GIT_SSH-}" ]; then
  ssh=${GIT_SSH_COMMAND-$(git -C / config core.sshCommand || echo ssh)}
  case ${ssh%% *} in
    ssh | */ssh) export GIT_SSH_COMMAND="$ssh -o BatchMode=yes -o ConnectTimeout=20" ;;
  esac
fi

# A git command that may talk to the server; what it says is in git.log. Descriptor 9 is the lock: an ssh master or a
# credential daemon that git starts would keep it for as long as it lives. The subshell keeps it for as long as git itself
# does, so that the next run waits for a git that outlives a killed one. A pack is kept as it comes: unpacked, it would be
# there in part after a kill, the commit first.
online() (
  from=$1
  shift
  LC_ALL=C
  export LC_ALL
  rc=0
  watch "waiting for git"
  git_in "$from" -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 -c fetch.unpackLimit=1 \
    "$@" 9>&- 2>"$state/git.log" || rc=$?
  unwatch
  exit "$rc"
)

gitdir=

# Git is about to write into a checkout that is there. The mark outlives this run only where that is killed.
begin() { : >"$gitdir/gpubox.busy"; }
end() { if [ -n "$gitdir" ]; then rm -f "$gitdir/gpubox.busy"; fi; }

stop() {
  end
  fail "$@"
}

said() { grep -Eq "$1" "$state/git.log"; }

# cannot_fetch WHAT
cannot_fetch() {
  sed 's/^/  git: /' "$state/git.log" >&2
  if [ -n "${SSH_CONNECTION-}" ]; then
    # What a person types on their own machine does not help this one.
    say "cannot fetch $1; it is $(uname -n) that fetches it, so this is about what is there"
  else
    say "cannot fetch $1"
  fi
  if said 'prompts disabled|could not read (Username|Password)|Authentication failed|(error:|HTTP) 40[13]'; then
    stop 1 "  it wants a login; type it once in your terminal, and git keeps it in memory for a day:" \
      "    git config --global credential.helper 'cache --timeout=86400' && git ls-remote $(quoted "$URL")"
  elif said 'Permission denied \(' && [ -n "${SSH_CONNECTION-}" ]; then
    stop 1 "  it takes none of the keys of $(id -un) on $(uname -n). Put one there, or lend it those of your own agent:" \
      "    \`ForwardAgent yes\` below the \`Host\` of $(uname -n) in your own ~/.ssh/config, and \`ssh-add\` on your own machine"
  elif said 'Permission denied \(' && [ -n "${SSH_AUTH_SOCK-}" ]; then
    stop 1 "  it takes none of your keys; those that your ssh agent has:  ssh-add -l"
  elif said 'Permission denied \('; then
    stop 1 "  it wants a key, and no ssh agent can be reached (SSH_AUTH_SOCK is not set):" \
      "    eval \"\$(ssh-agent)\" && ssh-add"
  elif said 'Host key verification failed'; then
    stop 1 "  ssh does not know this server yet; look at its key and accept it:  git ls-remote $(quoted "$URL")"
  fi
  stop 1 "  what the machine says to that:  git ls-remote $(quoted "$URL")"
}

# --- from a ref to a commit -------------------------------------------------------------------------------------------

has_commit() { git_in "$1" cat-file -e "$2^{commit}" 2>/dev/null; }
# Whether a commit is there with its history, or as much of it as a shallow repository has: after a fetch that was killed, it
# may be there without.
is_whole() { git_in "$1" rev-list --quiet "$2" -- 2>/dev/null; }
is_shallow() { [ "$(git_in "$1" rev-parse --is-shallow-repository)" = true ]; }

# What the person has of a repository's history is never cut off: only a new one becomes shallow.
may_be_shallow() { is_shallow "$1" || ! git_in "$1" rev-parse --verify --quiet HEAD >/dev/null; }

# fetch REPOSITORY WHAT: a ref or commit; alone where that is wanted and the server can.
fetch() {
  if [ "$SHALLOW" = 1 ] && may_be_shallow "$1"; then
    if online "$1" fetch --quiet --no-recurse-submodules --depth 1 origin "$2"; then return; fi
  fi
  online "$1" fetch --quiet --no-recurse-submodules origin "$2"
}

# All the branches and tags of the server. Its tags are not mixed with the person's own.
fetch_all() {
  unshallow=
  if is_shallow "$1"; then unshallow=--unshallow; fi
  online "$1" fetch --quiet --no-recurse-submodules $unshallow origin '+refs/heads/*:refs/remotes/origin/*' \
    '+refs/tags/*:refs/gpubox-tags/*'
}

# Brings REF into repository $1 and sets $commit, and $name to the full name of a tag or branch.
resolve() {
  name=
  if printf '%s' "$REF" | grep -Eq '^[0-9a-fA-F]{40}$'; then
    commit=$(printf '%s' "$REF" | tr 'A-F' 'a-f')
    if ! is_whole "$1" "$commit"; then
      say "fetching commit $commit of $URL"
      # Not every server hands out a commit by its name; what it has on branches and tags, any server does.
      fetch "$1" "$commit" || fetch_all "$1" || cannot_fetch "$URL"
    fi
    has_commit "$1" "$commit" || stop 1 "ref: $URL has no commit $commit"
    return
  fi
  say "looking for $REF in $URL"
  refs=$(online "$1" ls-remote origin "refs/tags/$REF" "refs/heads/$REF") || cannot_fetch "$URL"
  case $refs in
    *"refs/tags/$REF"*) name=refs/tags/$REF ;;
    *"refs/heads/$REF"*) name=refs/heads/$REF ;;
  esac
  if [ -n "$name" ]; then
    say "fetching $name of $URL"
    fetch "$1" "$name" || cannot_fetch "$URL"
    commit=$(git_in "$1" rev-parse --verify --quiet 'FETCH_HEAD^{commit}') || stop 1 "ref: $name of $URL is no commit"
    return
  fi
  if printf '%s' "$REF" | grep -Eq '^[0-9a-fA-F]{7,39}$'; then
    fetch_all "$1" || cannot_fetch "$URL"
    if commit=$(git_in "$1" rev-parse --verify --quiet "$REF^{commit}"); then return; fi
  fi
  stop 1 "ref: $URL has no commit, tag or branch $REF" "  what it has:  git ls-remote $(quoted "$URL")"
}

# --- history, submodules, LFS -----------------------------------------------------------------------------------------

# A single commit may be more than a server hands out; all of its branches and tags are not.
# shellcheck disable=SC2016 # for the shell of each submodule
DEEPEN='
  if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
    git fetch --quiet --unshallow origin "+refs/heads/*:refs/remotes/origin/*" "+refs/tags/*:refs/gpubox-tags/*"
  fi
'

fetch_submodules() {
  say "fetching its submodules"
  set -- "$1" submodule --quiet update --init --recursive
  if [ "$SHALLOW" = 1 ]; then
    case $(git_in "$1" submodule --quiet foreach --recursive 'git rev-parse --is-shallow-repository') in
      *false*) ;;
      *) if online "$@" --depth 1; then return; fi ;;
    esac
  fi
  online "$1" submodule --quiet foreach --recursive "$DEEPEN" || cannot_fetch "the submodules of $URL"
  online "$@" || cannot_fetch "the submodules of $URL"
}

# In the repository's own configuration, so that the person's git sees the files unchanged; no hooks. Fetching takes long and
# leaves the files alone; putting them in place is short.
LFS_COMMANDS='git lfs install --local --skip-repo >/dev/null && git lfs fetch >&2 && git lfs checkout >&2'

fetch_lfs() {
  say "fetching its LFS files"
  # An alias with a "!" is how git runs a shell's commands in a repository; foreach is for those below.
  online "$1" -c alias.gpubox-lfs="!$LFS_COMMANDS" gpubox-lfs || cannot_fetch "the LFS files of $URL"
  if [ "$SUBMODULES" = 1 ]; then
    online "$1" submodule --quiet foreach --recursive "$LFS_COMMANDS" || cannot_fetch "the LFS files of submodules of $URL"
  fi
}

# Brings a repository that is at $commit what is wanted beside.
furnish() {
  if [ "$SHALLOW" = 0 ] && is_shallow "$1"; then
    say "fetching the whole history"
    online "$1" fetch --quiet --no-recurse-submodules --unshallow origin "$commit" || fetch_all "$1" || cannot_fetch "$URL"
  fi
  if [ "$SUBMODULES" = 1 ]; then fetch_submodules "$1"; fi
  if [ "$LFS" = 1 ]; then fetch_lfs "$1"; fi
}

# --- what can be at the target ----------------------------------------------------------------------------------------

result() {
  end
  say "$1: $target is at $2"
  printf '%s\n' "$target"
  exit 0
}

in_the_way() {
  fail 3 "$target $1; it is left as it is" \
    "  move it away and run again:  mv $(quoted "$target") $(quoted "$target.mine")" \
    "  or give this entry of code: another folder"
}

# remember GITDIR REF NAME COMMIT WITH
remember() {
  printf 'url=%s\nref=%s\nname=%s\ncommit=%s\nwith=%s\n' "$URL" "$2" "$3" "$4" "$5" >"$1/gpubox.new"
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
  furnish "$clone"
  remember "$clone/.git" "$REF" "$name" "$commit" "$wanted"
  flush "$clone"
  mkdir -p "$(dirname "$target")"
  if [ -d "$target" ] && [ ! -L "$target" ]; then rmdir "$target" || in_the_way "was filled in the meantime"; fi
  if [ -e "$target" ] || [ -L "$target" ]; then in_the_way "was made in the meantime"; fi
  mv "$clone" "$target"
  flush "$target"
  result created "$commit"
}

# --- after a run that was killed --------------------------------------------------------------------------------------

# finish_checkout REPOSITORY OLD NEW: a git that was killed inside a checkout leaves files of the old commit, of the new one,
# and perhaps one cut short. Before the checkout is brought to its end, all of it goes into a commit whose parents are the two:
# what git shows of such a commit is just what neither of them has, so the person's edits since then.
finish_checkout() {
  index=$(git_in "$1" rev-parse --absolute-git-dir)/gpubox.index
  rm -f "$index"
  GIT_INDEX_FILE=$index
  export GIT_INDEX_FILE
  git_in "$1" read-tree "$2"
  git_in "$1" ls-tree -r "$3" >"$state/new-tree"
  git_in "$1" update-index --replace --index-info <"$state/new-tree"
  # Submodules are repositories of their own, and git cannot look into one that is half there.
  git_in "$1" ls-files --stage >"$state/new-tree"
  awk '/^160000 / { sub(/^[^\t]*/, ""); print "0 0000000000000000000000000000000000000000" $0 }' "$state/new-tree" |
    git_in "$1" update-index --index-info
  git_in "$1" add -u
  tree=$(git_in "$1" write-tree)
  unset GIT_INDEX_FILE
  parents="-p $2"
  if [ "$2" != "$3" ]; then parents="$parents -p $3"; fi
  # shellcheck disable=SC2086 # two words each
  found=$(GIT_AUTHOR_NAME=gpubox GIT_AUTHOR_EMAIL=gpubox@localhost GIT_COMMITTER_NAME=gpubox \
    GIT_COMMITTER_EMAIL=gpubox@localhost git_in "$1" commit-tree $parents \
    -m "Files as gpubox found them in an interrupted checkout" "$tree")
  edited=$(git_in "$1" diff-tree -r -c --no-commit-id --name-only --diff-filter=d "$found")
  if [ -n "$edited" ]; then git_in "$1" update-ref "refs/gpubox/$found" "$found"; fi
  git_in "$1" checkout --quiet --force --detach "$3" || stop 1 "cannot check out $3 in $1"
  rm -f "$index" "$state/new-tree"
  if [ -n "$edited" ]; then
    printf '%s\n' "$edited" | head -n 10 | sed 's/^/  /' >&2
    say "note: these files of $1 were at neither commit; as they were:  git -C $(quoted "$1") show $found"
  fi
}

# The same for its submodules. One that was never checked out, as its clone was cut short or its commit did not come, has
# nothing in it yet, and git would not begin it anew.
finish_submodules() (
  modules=$(git_in "$1" rev-parse --absolute-git-dir)/modules
  if [ ! -d "$modules" ] || [ ! -f "$1/.gitmodules" ]; then exit 0; fi
  git_in "$1" config --file "$1/.gitmodules" --name-only --get-regexp '^submodule\..*\.path$' | while IFS= read -r key; do
    module=${key#submodule.}
    module=${module%.path}
    path=$(git_in "$1" config --file "$1/.gitmodules" --get "$key")
    # These two come from the server.
    case /$module/$path/ in */../* | *//*) continue ;; esac
    in_module() { git_in "$modules" --git-dir="$modules/$module" "$@" 2>/dev/null; }
    is_at=$(in_module rev-parse --verify --quiet HEAD || :)
    wants=$(git_in "$1" rev-parse --verify --quiet ":$path" || :)
    has_it=
    if [ -n "$is_at" ] && [ -n "$wants" ] && in_module cat-file -e "$wants^{commit}"; then has_it=yes; fi
    if [ -z "$has_it" ] && [ ! -e "$modules/$module/index" ]; then
      rm -rf "${modules:?}/$module"
      if [ ! -L "$1/$path" ] && grep -qsF "/modules/$module" "$1/$path/.git"; then rm -f "$1/$path/.git"; fi
    elif [ -n "$has_it" ] && [ -f "$1/$path/.git" ]; then
      finish_checkout "$1/$path" "$is_at" "$wants"
      finish_submodules "$1/$path"
    fi
  done
)

# Nobody else has these locks: the killed run's git is gone, with its hold on our lock.
clear_locks() {
  find "$gitdir" -name objects -prune -o -name '*.lock' -type f -exec rm -f {} +
  rm -f "$gitdir"/objects/pack/tmp_*
}

# Where an earlier run was killed, or did not get all that was wanted: brings the checkout to its commit, and leaves it to this
# run to furnish it.
recover() {
  killed=
  if [ -f "$gitdir/gpubox.busy" ]; then killed=yes; fi
  if [ -n "$killed" ]; then clear_locks; fi
  if [ -f "$gitdir/gpubox.next" ]; then
    old=$(field "$gitdir/gpubox.next" old)
    new=$(field "$gitdir/gpubox.next" new)
    case $killed:$(git_in "$target" rev-parse --verify --quiet HEAD || :) in
      "yes:$old" | "yes:$new")
        say "an earlier run was stopped on the way from $old to $new; going on"
        finish_checkout "$target" "$old" "$new"
        finish_submodules "$target"
        ;;
    esac
    remember "$gitdir" "$(field "$gitdir/gpubox.next" ref)" "$(field "$gitdir/gpubox.next" name)" "$new" ""
    rm -f "$gitdir/gpubox.next"
  fi
  end
}

# --- moving on --------------------------------------------------------------------------------------------------------

# Whether the checkout lacks something of what is wanted.
lacking() {
  had=" $(field "$gitdir/gpubox" with) "
  for one in $wanted; do
    case $had in *" $one "*) ;; *) return 0 ;; esac
  done
  return 1
}

# shellcheck disable=SC2016 # for the shell of each submodule
SUBMODULE_CHANGES='git status --porcelain --untracked-files=no --ignore-submodules=all | while IFS= read -r line; do
  printf "%s%s/%s\n" "${line%"${line#???}"}" "$displaypath" "${line#???}"
done'

# What git would have to overwrite to move the checkout on. Where a run did not get all submodules, those that it did not get
# are at another commit, which is no change of the person's.
local_changes() {
  if [ "$SUBMODULES" = 1 ] && ! lacking; then
    git_in "$target" status --porcelain --untracked-files=no --ignore-submodules=untracked
    return
  fi
  git_in "$target" status --porcelain --untracked-files=no --ignore-submodules=all
  if [ "$SUBMODULES" = 1 ]; then git_in "$target" submodule --quiet foreach --recursive "$SUBMODULE_CHANGES"; fi
}

# Brings the checkout from $head to $commit, with all that is wanted.
move_on() {
  changes=$(local_changes)
  if [ -n "$changes" ]; then
    printf '%s\n' "$changes" | head -n 10 | sed 's/^/  /' >&2
    say "$target has local changes (above), so it stays at $head instead of $REF ($commit${wanted:+ with$wanted})"
    if [ "$SUBMODULES" = 1 ]; then
      say "  what changed in submodules:  git -C $(quoted "$target") diff --submodule=log"
      say "  put that aside:  git -C $(quoted "$target") submodule foreach --recursive git stash"
    fi
    stop 3 "  put them aside and run again:  git -C $(quoted "$target") stash" \
      "  they come back with:  git -C $(quoted "$target") stash pop"
  fi
  printf 'old=%s\nnew=%s\nref=%s\nname=%s\n' "$head" "$commit" "$REF" "$name" >"$gitdir/gpubox.next.new"
  mv "$gitdir/gpubox.next.new" "$gitdir/gpubox.next"
  if [ "$head" != "$commit" ]; then
    say "from $head to $REF ($commit)"
    if ! git_in "$target" checkout --quiet --detach "$commit" 2>"$state/git.log"; then
      rm -f "$gitdir/gpubox.next"
      sed 's/^/  git: /' "$state/git.log" >&2
      stop 3 "$target stays at $head: git does not go to $REF ($commit)"
    fi
  fi
  furnish "$target"
  flush "$target"
  remember "$gitdir" "$REF" "$name" "$commit" "$wanted"
  rm -f "$gitdir/gpubox.next"
  result updated "$commit"
}

plain_url() { printf '%s' "$1" | sed -e 's|/*$||' -e 's|\.git$||'; }

# A checkout that the person made.
foreign() {
  if [ "$head" = "$REF" ]; then result unchanged "$head"; fi
  begin
  resolve "$target"
  if [ "$head" = "$commit" ]; then result unchanged "$head"; fi
  stop 3 "$target was not made by gpubox, and is at $head instead of $REF ($commit); it is left as it is" \
    "  bring it there yourself:  git -C $(quoted "$target") checkout --detach $commit" \
    "  or move it away:  mv $(quoted "$target") $(quoted "$target.mine")"
}

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
  recover
  head=$(git_in "$target" rev-parse --verify --quiet HEAD || echo nothing)
  if [ ! -f "$gitdir/gpubox" ]; then foreign; fi

  ours=$(field "$gitdir/gpubox" commit)
  name=$(field "$gitdir/gpubox" name)
  moved="it was put at $ours, and you have moved it since"
  # A commit has no name, and cannot have become another one.
  if [ "$(field "$gitdir/gpubox" ref)" = "$REF" ] && { [ "$UPDATE" = 0 ] || [ -z "$name" ]; }; then
    commit=$ours
    if [ "$head" != "$ours" ]; then
      say "note: $moved; it is left there"
    elif lacking; then
      begin
      move_on
    elif [ "$name" = "refs/heads/$REF" ]; then
      say "the branch $REF stays at $ours; \`npm run update\` moves it on"
    fi
    result unchanged "$head"
  fi
  begin
  resolve "$target"
  if [ "$head" = "$commit" ] && ! lacking; then
    remember "$gitdir" "$REF" "$name" "$commit" "$wanted"
    result unchanged "$head"
  elif [ "$commit" = "$ours" ] && [ "$head" != "$ours" ]; then
    say "note: $moved; it is left there"
    result unchanged "$head"
  elif [ "$head" != "$commit" ] && [ "$head" != "$ours" ]; then
    stop 3 "$target is at $head, where you put it, and not at $ours; it is not moved to $REF ($commit)" \
      "  keep your commits by a name:  git -C $(quoted "$target") branch mine" \
      "  and go there yourself:  git -C $(quoted "$target") checkout --detach $commit"
  fi
  move_on
}

lock
if [ -e "$target" ] || [ -L "$target" ]; then
  if [ -L "$target" ] || [ ! -d "$target" ] || [ -n "$(ls -A "$target")" ]; then existing; fi
fi
create
