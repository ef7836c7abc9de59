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
# ROOT/code/.gpubox/<folder>/ holds the lock, the half-made clone, what git works in (git.sh) and, while a checkout is moved, from where
# to where (next, busy); FOLDER/.git/gpubox says what was put there. An existing checkout is only ever moved on when it is where this script left it and has no local changes.
set -eu
topic="code ${FOLDER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/progress.sh
. ./progress.sh
# shellcheck source=host-scripts/ours.sh
. ./ours.sh
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
have python3 || fail 1 "python3 is not installed on this machine" "  for instance:  sudo apt-get install python3"
if [ "$LFS" = 1 ] && ! have git-lfs; then
  fail 1 "git-lfs is not installed on this machine" "  for instance:  sudo apt-get install git-lfs"
fi
git check-ref-format "refs/heads/${REF-}" || fail 2 "ref: '${REF-}' is not a commit, tag or branch"

KIND=code
target=$ROOT/code/$FOLDER
state=$(state_folder code)
work=$state/work
on_our_terms

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
# does, so that the next run waits for a git that outlives a killed one.
online() (
  from=$1
  shift
  LC_ALL=C
  export LC_ALL
  rc=0
  watch "waiting for git"
  git_in "$from" -c http.lowSpeedLimit=1000 -c http.lowSpeedTime=60 "$@" 9>&- 2>"$state/git.log" || rc=$?
  unwatch
  exit "$rc"
)

gitdir=

held=

# What we are about to do in a checkout that is there; it outlives this run only where that is killed.
begin() { : >"$state/busy"; }
end() {
  unlock_index
  rm -f "$state/busy"
}

# lock_index TREE GITDIR READER: keeps the notebook's git from the checkout, as git does, and takes its index as it is then.
lock_index() {
  locked=$(tree lock "$2" "$3") ||
    stop 3 "$1 is left as it is: $locked" "  where it was stopped:  rm $(quoted "$2/index.lock")"
  held=$2
}
unlock_index() {
  if [ -n "$held" ]; then (enter_code "$held" && rm -f index.lock) || :; fi
  held=
}

stop() {
  end
  fail "$@"
}

said() { grep -Eq "$1" "$state/git.log"; }

# What git said, and the first of some names.
show_git() { sed 's/^/git: /' "$state/git.log" | show_lines; }
show_some() { printf '%s\n' "$1" | head -n 10 | show_lines; }

# cannot_fetch WHAT
cannot_fetch() {
  show_git
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
    stop 1 "  it takes none of the keys of $(person) on $(uname -n). Put one there, or lend it those of your own agent:" \
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

# Sets $name to the full name of REF, where it is a tag or branch, and $commit, unless that takes the commits themselves (in
# repository $1) to know.
look_up() {
  name=
  commit=
  if printf '%s' "$REF" | grep -Eq '^[0-9a-fA-F]{40}$'; then
    commit=$(printf '%s' "$REF" | tr 'A-F' 'a-f')
    return
  fi
  say "looking for $REF in $URL"
  refs=$(online "$1" ls-remote origin "refs/tags/$REF" "refs/tags/$REF^{}" "refs/heads/$REF") || cannot_fetch "$URL"
  for each in "refs/tags/$REF" "refs/heads/$REF"; do
    # Of an annotated tag the commit is in a line of its own, which comes second.
    commit=$(printf '%s\n' "$refs" | awk -v name="$each" '$2 == name || $2 == name "^{}" { commit = $1 } END { print commit }')
    if [ -n "$commit" ]; then
      name=$each
      return
    fi
  done
  printf '%s' "$REF" | grep -Eq '^[0-9a-fA-F]{7,39}$' || no_such_ref
}

no_such_ref() { stop 1 "ref: $URL has no commit, tag or branch $REF" "  what it has:  git ls-remote $(quoted "$URL")"; }

# Brings what was looked up into repository $1, and sets $commit anew: a branch may have moved on.
obtain() {
  if [ -n "$commit" ] && is_whole "$1" "$commit"; then
    has_commit "$1" "$commit" || stop 1 "ref: $REF of $URL is no commit"
  elif [ -n "$name" ]; then
    say "fetching $name of $URL"
    fetch "$1" "$name" || cannot_fetch "$URL"
    commit=$(git_in "$1" rev-parse --verify --quiet 'FETCH_HEAD^{commit}') || stop 1 "ref: $name of $URL is no commit"
  elif [ -n "$commit" ]; then
    say "fetching commit $commit of $URL"
    # Not every server hands out a commit by its name; what it has on branches and tags, any server does.
    fetch "$1" "$commit" || fetch_all "$1" || cannot_fetch "$URL"
    has_commit "$1" "$commit" || stop 1 "ref: $URL has no commit $commit"
  else
    fetch_all "$1" || cannot_fetch "$URL"
    commit=$(git_in "$1" rev-parse --verify --quiet "$REF^{commit}") || no_such_ref
  fi
}

# --- between a checkout and its twin ----------------------------------------------------------------------------------

# The folder for the reader and the twin of a repository of the checkout: ".git", ".git/modules/..."
place_of() { printf '%s' "$work/$(printf '%s' "$1" | sed 's/%/%25/g; s|/|%2F|g')"; }

# make_twin PLACE [URL]
make_twin() {
  rm -rf "$1/twin"
  git -C / init --quiet --bare --template= "$1/twin"
  : >"$1/twin/seeded"
  if [ -n "${2-}" ]; then git_in "$1/twin" remote add origin "$2"; fi
}

# seed PLACE COMMIT...: brings what the checkout has of these into its twin, with all of its history or none. It is fetched, as
# from any server, so that it is what its name says.
seed() {
  twin_of_seeds=$1/twin
  reader_of_seeds=$1/reader
  shift
  depth=
  if is_shallow "$reader_of_seeds"; then depth="--depth 1"; fi
  for each in "$@"; do
    if has_commit "$reader_of_seeds" "$each" && ! has_commit "$twin_of_seeds" "$each"; then
      # shellcheck disable=SC2086 # two words
      git_in "$twin_of_seeds" -c protocol.file.allow=always fetch --quiet --no-tags $depth "$reader_of_seeds" \
        "+$each:refs/gpubox/seeds/$each" 2>"$state/git.log" || discard_packs "$twin_of_seeds"
      ls "$twin_of_seeds/objects/pack" >"$twin_of_seeds/seeded"
    fi
  done
  # What is fetched after this is as deep as the checkout.
  if has_commit "$twin_of_seeds" "$1"; then git_in "$twin_of_seeds" update-ref --no-deref HEAD "$1"; fi
}

# What came of a fetch that failed: the commit, and not all that it needs.
discard_packs() {
  for pack in "$1"/objects/pack/*; do
    if ! grep -qxF "${pack##*/}" "$1/seeded"; then rm -f "$pack"; fi
  done
}

# give TWIN GITDIR: brings what the twin has fetched into the checkout's repository, where these are two.
give() {
  if [ "$1" = "$2" ]; then return; fi
  weigh_shallow "$1" "${1%/twin}/reader"
  make_folders "$2" objects/pack
  for pack in "$1"/objects/pack/*.pack; do
    if [ ! -e "$pack" ] || grep -qxF "${pack##*/}" "$1/seeded"; then continue; fi
    # Git takes a pack for there once its index is.
    for each in "$pack" "${pack%.pack}.rev" "${pack%.pack}.idx"; do
      if [ -e "$each" ]; then
        ln "$each" "${1%/twin}/reader/objects/pack/" 2>/dev/null || :
        cp "$each" "$work/pack"
        put "$work/pack" "$2/objects/pack" "${each##*/}"
      fi
    done
    echo "${pack##*/}" >>"$1/seeded"
  done
  if [ "$(sort -u "$work/shallow.old")" = "$(cat "$work/shallow")" ]; then return; fi
  if [ -s "$work/shallow" ]; then
    put "$work/shallow" "$2" shallow
  else
    within "$2" rm -f shallow
  fi
}

# weigh_shallow TWIN READER: which commits are there without their history: as the checkout has it, but for what comes.
weigh_shallow() {
  : >"$work/shallow.twin"
  if [ -f "$1/shallow" ]; then cp "$1/shallow" "$work/shallow.twin"; fi
  : >"$work/shallow.old"
  if [ -f "$2/shallow" ]; then cp "$2/shallow" "$work/shallow.old"; fi
  {
    while read -r each; do
      if grep -qx "$each" "$work/shallow.twin" || ! has_commit "$1" "$each"; then echo "$each"; fi
    done <"$work/shallow.old"
    while read -r each; do
      if ! is_whole "$2" "$each"; then echo "$each"; fi
    done <"$work/shallow.twin"
  } | sort -u >"$work/shallow"
}

# move PLACE TREE GITDIR OLD NEW [LOOK]: the files of a checkout, whose index is locked, and which the reader has looked at. OLD may be
# nothing. With LOOK, which compared it with NEW, what is in the way stays there. Says in $stays what was not moved; ends with 3
# where nothing was, as that was in the way.
move() {
  stays=
  give "$1/twin" "$3"
  from=$4
  if [ "$from" = nothing ]; then from=$(git_in "$1/twin" hash-object -t tree /dev/null); fi
  git_in "$1/twin" diff-tree -r -z --raw --no-renames --no-abbrev "$from" "$5" >"$1/moves" || return 1
  place_files "$@" || return
  GIT_INDEX_FILE=$1/reader/index git_at "$1/twin" "$1/new" read-tree --reset "$5" 2>"$state/git.log" || return 1
  stamp "$1" || return 1
  settle "$@"
}

# place_files PLACE TREE GITDIR OLD NEW [LOOK]: those of $1/moves, as git makes them in a folder of ours.
place_files() {
  rm -rf "$1/new"
  mkdir "$1/new"
  GIT_INDEX_FILE=$1/index git_in "$1/twin" read-tree "$5" || return 1
  tree arriving <"$1/moves" | GIT_INDEX_FILE=$1/index git_at "$1/twin" "$1/new" checkout-index -z --stdin 2>"$state/git.log" || return 1
  rc=0
  # shellcheck disable=SC2086
  stays=$(tree place "$2" "$1/new" "$1/reader/look" ${6:+"$6"} <"$1/moves") || rc=$?
  return "$rc"
}

# stamp PLACE: has the index know the files that are in their places.
stamp() {
  GIT_INDEX_FILE=$1/reader/index git_at "$1/twin" "$1/new" update-index --index-version 2 && tree stamp "$1/reader/index" "$1/reader/look"
}

# settle PLACE TREE GITDIR OLD NEW: the checkout's own git is to know of it.
settle() {
  put "$1/reader/index" "$3" index
  echo "$5" >"$work/HEAD"
  put "$work/HEAD" "$3" HEAD
  if [ "$4" != nothing ] && [ -s "$1/reader/logs/HEAD" ]; then
    {
      cat "$1/reader/logs/HEAD"
      printf '%s %s gpubox <gpubox@localhost> %s +0000\tcheckout: moving from %s to %s\n' "$4" "$5" "$(date +%s)" "$4" "$5"
    } >"$work/log"
    put "$work/log" "$3/logs" HEAD
  fi
}

# set_config GITDIR KEY VALUE...: in the checkout's own configuration, for the git in the notebook. Where we write into it, it
# is a text.
set_config() {
  config_in=$1
  shift
  rm -f "$work/config"
  (enter_code "$config_in" && cp -RP config "$work/config")
  if [ -L "$work/config" ] || [ ! -f "$work/config" ]; then stop 3 "$config_in/config is no file, where git makes one"; fi
  while [ $# -gt 0 ]; do
    git -C / config --file "$work/config" --replace-all "$1" "$2" || stop 3 "git cannot write to $config_in/config"
    shift 2
  done
  put "$work/config" "$config_in" config
}

# --- history, submodules, LFS -----------------------------------------------------------------------------------------

# Brings the twin of a repository that is at COMMIT its history.
deepen() {
  if [ "$SHALLOW" = 1 ] || ! is_shallow "$1"; then return; fi
  online "$1" fetch --quiet --no-recurse-submodules --unshallow origin "$2" || fetch_all "$1"
}

# absolute_url BASE URL: an address of .gitmodules, which may be beside that of its repository.
absolute_url() {
  base=${1%/}
  url=$2
  separator=/
  case $url in ./* | ../*) ;; *) base="" separator="" ;; esac
  while :; do
    case $url in
      ../*)
        case $base in
          *://*/*) base=${base%/*} ;;
          *://*) return 1 ;;
          */*) base=${base%/*} ;;
          *:*) base=${base%:*} separator=: ;;
          *) return 1 ;;
        esac
        url=${url#../}
        ;;
      ./*) url=${url#./} ;;
      *) break ;;
    esac
  done
  case $base$separator$url in '' | -*) return 1 ;; esac
  if control_character "$url"; then return 1; fi
  printf '%s' "$base$separator$url"
}

# safe_module GITDIR NAME: whether it can have its repository at this name below .git/modules, and not inside another's.
safe_module() {
  case /$2/ in // | */../* | */./* | *//* | /-*) return 1 ;; esac
  if control_character "$2"; then return 1; fi
  above=$2
  while :; do
    case $above in */*) above=${above%/*} ;; *) return 0 ;; esac
    if [ -e "$1/modules/$above/HEAD" ]; then return 1; fi
  done
}

# As many "../" as lead up from a relative path.
up_from() { printf '%s/' "$1" | sed 's|[^/][^/]*/|../|g'; }

# furnish_submodules TWIN TREE GITDIR COMMIT URL BELOW REL: BELOW and REL are TREE and GITDIR as seen from the checkout, "" and
# ".git" for itself.
furnish_submodules() (
  list=$(mktemp "$work/list.XXXXXX")
  submodules_of "$1" "$4" >"$list" || stop 1 "git cannot read what submodules $2 has"
  while IFS='	' read -r wants path module; do
    if [ "$(gitmodule "$1" "$4" --get "submodule.$module.update")" = none ]; then continue; fi
    if ! safe_module "$3" "$module"; then stop 1 "cannot fetch the submodule $path of $URL: .gitmodules has no name for it, or an unsafe one"; fi
    address=$(absolute_url "$5" "$(gitmodule "$1" "$4" --get "submodule.$module.url")") ||
      stop 1 "cannot fetch the submodule $path of $URL: .gitmodules has no address for it that git would take"
    set_config "$3" "submodule.$module.url" "$address" "submodule.$module.active" true
    if [ -e "$3/modules/$module" ] || [ -L "$3/modules/$module" ]; then
      moved_submodule "$2/$path" "$3/modules/$module" "$wants" "$address" "$6$path" "$7/modules/$module"
    else
      make_folders "$3" "$(dirname "modules/$module")"
      new_submodule "$2/$path" "$3/modules/$module" "$wants" "$address" "$6$path" "$7/modules/$module"
    fi </dev/null
  done <"$list"
)

# An address of the server's own making leads to no folder of this machine.
from_server() { GIT_PROTOCOL_FROM_USER=0 "$@"; }

# fetch_submodule TWIN COMMIT
fetch_submodule() {
  if ! is_whole "$1" "$2"; then
    from_server fetch "$1" "$2" || from_server fetch_all "$1" || cannot_fetch "the submodules of $URL"
  fi
  has_commit "$1" "$2" || stop 1 "cannot fetch the submodules of $URL: $(git_in "$1" remote get-url origin) has no commit $2"
  from_server deepen "$1" "$2" || cannot_fetch "the submodules of $URL"
}

# link_submodule TREE BELOW REL: the file that says where its repository is.
link_submodule() {
  printf 'gitdir: %s%s\n' "$(up_from "$2")" "$3" >"$work/link"
  put "$work/link" "$1" .git
}

# new_submodule TREE GITDIR COMMIT URL BELOW REL: made where no notebook reaches, and put in place.
new_submodule() (
  clone=$(mktemp -d "$state/clone.XXXXXX")
  chmod 755 "$clone"
  git -C / init --quiet --template= "$clone"
  git_in "$clone/.git" remote add origin "$4"
  fetch_submodule "$clone/.git" "$3"
  git_at "$clone/.git" "$clone" checkout --quiet --detach "$3" || stop 1 "cannot check out $3 of $4 in $1"
  furnish_submodules "$clone/.git" "$clone" "$clone/.git" "$3" "$4" "$5/" "$6"
  if [ "$LFS" = 1 ]; then fetch_lfs "$clone/.git" "$clone" "$clone/.git" "$3"; fi
  git -C / config --file "$clone/.git/config" core.worktree "$(up_from "$6")$5"
  flush "$clone"
  put "$clone/.git" "$(dirname "$2")" "${2##*/}"
  link_submodule "$clone" "$5" "$6"
  (enter_code "$(dirname "$1")" && if [ -e "${1##*/}" ]; then rmdir "${1##*/}"; fi) 2>/dev/null ||
    stop 3 "$1 is to be a submodule, and holds files; move them away and run again"
  put "$clone" "$(dirname "$1")" "${1##*/}"
)

# moved_submodule TREE GITDIR COMMIT URL BELOW REL
moved_submodule() (
  sub=$(place_of "$6")
  make_reader "$2" "$sub/reader" || unreadable "$1"
  make_twin "$sub" "$4"
  is_at=$(head_of "$sub/reader")
  seed "$sub" "$is_at" "$3"
  fetch_submodule "$sub/twin" "$3"
  give "$sub/twin" "$2"
  if ! populated "$1" || ! has_commit "$sub/twin" "$is_at"; then
    lock_index "$1" "$2" "$sub/reader"
    rm -f "$sub/reader/index"
    make_folders "$(dirname "$1")" "${1##*/}"
    link_submodule "$1" "$5" "$6"
    move_submodule "$sub" "$1" "$2" nothing "$3" "$5"
  elif [ "$is_at" != "$3" ]; then
    lock_index "$1" "$2" "$sub/reader"
    move_submodule "$sub" "$1" "$2" "$is_at" "$3" "$5"
  fi
  unlock_index
  furnish_submodules "$sub/twin" "$1" "$2" "$3" "$4" "$5/" "$6"
  if [ "$LFS" = 1 ]; then fetch_lfs "$sub/twin" "$1" "$2" "$3"; fi
)

# move_submodule PLACE TREE GITDIR OLD NEW BELOW
move_submodule() {
  changes "$1/reader" "$2" >/dev/null || no_index "$2" "/code/$FOLDER/$6"
  rc=0
  move "$1" "$2" "$3" "$4" "$5" || rc=$?
  if [ "$rc" != 0 ]; then stuck "$2" "$5" "$rc"; fi
  say_stays "$2"
}

populated() { [ -f "$1/.git" ] && [ ! -L "$1/.git" ] && ! (is_linked "$1"); }

# stuck TREE COMMIT STATUS: what move ended with.
stuck() {
  if [ "${3-}" = 3 ]; then
    show_some "$stays"
    stop 3 "these files in $1 are in the way of commit $2, and are not overwritten" \
      "  move them away, in a terminal of the notebook or here, and run again"
  fi
  show_git
  stop 3 "$1 stays where it is, as git does not go to $2 (above)" \
    "  once it is mended run again, or have it anew:  mv $(quoted "$target") $(quoted "$target.mine")"
}

# say_stays TREE: what a move has left alone, as it was edited meanwhile.
say_stays() {
  if [ -z "$stays" ]; then return; fi
  show_some "$stays"
  say "note: these files of $1 are edited; they stay as they are"
}

unreadable() {
  stop 3 "git cannot read $1: $why" \
    "  if it belongs to someone else:  sudo chown -R $(id -u):$(id -g) $(quoted "$1")" \
    "  otherwise move it away:  mv $(quoted "$target") $(quoted "$target.mine")"
}

# fetch_lfs TWIN TREE GITDIR COMMIT: fetching takes long and leaves the files alone; putting them in place is short.
fetch_lfs() (
  git_in "$1" update-ref --no-deref HEAD "$4"
  git_in "$1" lfs ls-files --long "$4" | cut -d ' ' -f 1 | sort -u >"$work/lfs"
  if [ "$1" != "$3" ]; then
    mkdir -p "$1/lfs/objects"
    while read -r each; do borrow_lfs "$each" "$3/lfs/objects" "$1/lfs/objects"; done <"$work/lfs"
  fi
  online "$1" lfs fetch origin "$4" >/dev/null || cannot_fetch "the LFS files of $URL"
  # So that the notebook's git sees the files unchanged; no hooks.
  set_config "$3" filter.lfs.clean "git-lfs clean -- %f" filter.lfs.smudge "git-lfs smudge -- %f" \
    filter.lfs.process "git-lfs filter-process" filter.lfs.required true
  if [ "$1" = "$3" ]; then
    git_at "$1" "$2" lfs checkout >/dev/null 2>"$state/git.log" || stuck "$2" "$4"
    exit 0
  fi
  make_folders "$3" lfs/objects
  while read -r each; do borrow_lfs "$each" "$1/lfs/objects" "$3/lfs/objects"; done <"$work/lfs"
  its_place=${1%/twin}
  lock_index "$2" "$3" "$its_place/reader"
  git_in "$1" lfs ls-files --name-only "$4" >"$work/lfs"
  git_in "$1" ls-tree -r -z "$4" | tree again "$work/lfs" >"$its_place/moves"
  # Pointers are what they are by their very bytes.
  rm -rf "$its_place/reader/look"
  mkdir "$its_place/reader/look"
  GIT_LFS_SKIP_SMUDGE=0
  if ! place_files "$its_place" "$2" "$3" "$4" "$4" || ! stamp "$its_place"; then stuck "$2" "$4"; fi
  put "$its_place/reader/index" "$3" index
  unlock_index
)

# borrow_lfs OID FROM TO: a file of LFS, whose text nothing but its checkout depends on, under a second name.
borrow_lfs() {
  above=$(printf '%s' "$1" | cut -c 1-2)/$(printf '%s' "$1" | cut -c 3-4)
  if [ -e "$3/$above/$1" ] || ! (enter_code "$2/$above"); then return; fi
  make_folders "$3" "$above"
  rm -f "$work/lfs-file"
  (enter_code "$2/$above" && ln "$1" "$work/lfs-file" 2>/dev/null) || return 0
  if [ -f "$work/lfs-file" ] && [ ! -L "$work/lfs-file" ]; then put "$work/lfs-file" "$3/$above" "$1"; fi
}

# furnish TWIN TREE GITDIR: brings a repository that is at $commit what is wanted beside.
furnish() {
  if [ "$SHALLOW" = 0 ] && is_shallow "$1"; then
    say "fetching the whole history"
    deepen "$1" "$commit" || cannot_fetch "$URL"
    give "$1" "$3"
  fi
  if [ "$SUBMODULES" = 1 ]; then
    say "fetching its submodules"
    furnish_submodules "$1" "$2" "$3" "$commit" "$URL" "" .git
  fi
  if [ "$LFS" = 1 ]; then
    say "fetching its LFS files"
    fetch_lfs "$1" "$2" "$3" "$commit"
  fi
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
  printf 'url=%s\nref=%s\nname=%s\ncommit=%s\nwith=%s\n' "$URL" "$2" "$3" "$4" "$5" >"$work/gpubox"
  put "$work/gpubox" "$1" gpubox
}

create() {
  clone=$(mktemp -d "$state/clone.XXXXXX")
  chmod 755 "$clone"
  git -C / init --quiet --template= "$clone"
  git_in "$clone/.git" remote add origin "$URL"
  look_up "$clone/.git"
  obtain "$clone/.git"
  git_at "$clone/.git" "$clone" checkout --quiet --detach "$commit" || fail 1 "cannot check out $commit of $URL in $clone"
  [ "$(git_in "$clone/.git" rev-parse HEAD)" = "$commit" ] || fail 1 "$clone is not at $commit after the checkout"
  furnish "$clone/.git" "$clone" "$clone/.git"
  remember "$clone/.git" "$REF" "$name" "$commit" "$wanted"
  flush "$clone"
  if is_linked "$(dirname "$target")"; then in_the_way "is behind a link"; fi
  mkdir -p "$(dirname "$target")"
  (
    enter_code "$(dirname "$target")" || in_the_way "is behind a link"
    if [ -d "${target##*/}" ] && [ ! -L "${target##*/}" ]; then rmdir "${target##*/}" || in_the_way "was filled in the meantime"; fi
    if [ -e "${target##*/}" ] || [ -L "${target##*/}" ]; then in_the_way "was made in the meantime"; fi
    rename "$clone" "./${target##*/}"
  )
  flush "$target"
  result created "$commit"
}

# --- after a run that was killed --------------------------------------------------------------------------------------

# finish_checkout PLACE TREE GITDIR OLD NEW: a run that was killed leaves files of the old commit and of the new one. What is neither
# is the person's, and stays.
finish_checkout() {
  lock_index "$2" "$3" "$1/reader"
  GIT_INDEX_FILE=$1/old git_in "$1/twin" read-tree "$4"
  GIT_INDEX_FILE=$1/next git_in "$1/twin" read-tree "$5"
  look "$1/twin" "$1/old" "$2" "$1/reader/look"
  look "$1/twin" "$1/next" "$2" "$1/look"
  move "$1" "$2" "$3" "$4" "$5" "$1/look" || stuck "$2" "$5"
  unlock_index
  say_stays "$2"
}

# finish_submodules READER TREE GITDIR COMMIT BELOW REL: the same for its submodules. One that was never checked out, as its clone
# was cut short or its commit did not come, has nothing in it yet, and is begun anew.
finish_submodules() (
  list=$(mktemp "$work/list.XXXXXX")
  submodules_of "$1" "$4" >"$list" || stop 3 "git cannot read what submodules $2 has"
  while IFS='	' read -r wants path module; do
    at=$3/modules/$module
    if ! safe_module "$3" "$module" || [ ! -e "$at" ]; then continue; fi
    sub=$(place_of "$6/modules/$module")
    make_reader "$at" "$sub/reader" || unreadable "$2/$path"
    if ! has_commit "$sub/reader" "$wants" && [ ! -e "$sub/reader/index" ]; then
      within "$(dirname "$at")" rm -rf "./${at##*/}"
      if grep -qsF "/modules/$module" "$2/$path/.git"; then within "$2/$path" rm -f .git; fi
    elif has_commit "$sub/reader" "$wants" && populated "$2/$path"; then
      make_twin "$sub"
      is_at=$(head_of "$sub/reader")
      seed "$sub" "$is_at" "$wants"
      for each in "$is_at" "$wants"; do
        has_commit "$sub/twin" "$each" || stuck "$2/$path" "$each"
      done
      finish_checkout "$sub" "$2/$path" "$at" "$is_at" "$wants"
      finish_submodules "$sub/reader" "$2/$path" "$at" "$wants" "$5$path/" "$6/modules/$module"
    fi </dev/null
  done <"$list"
)

# Where an earlier run was killed, or did not get all that was wanted: brings the checkout to its commit, and leaves it to this
# run to furnish it.
recover() {
  if [ ! -f "$state/next" ]; then
    end
    return
  fi
  old=$(commit_field "$state/next" old)
  new=$(commit_field "$state/next" new)
  if [ -f "$state/busy" ]; then
    case $head in
      "$old" | "$new")
        say "an earlier run was stopped on the way from $old to $new; going on"
        make_twin "$place" "$URL"
        seed "$place" "$old" "$new"
        for each in "$old" "$new"; do
          has_commit "$place/twin" "$each" || fetch "$place/twin" "$each" || cannot_fetch "$URL"
        done
        finish_checkout "$place" "$target" "$gitdir" "$old" "$new"
        finish_submodules "$place/twin" "$target" "$gitdir" "$new" "" .git
        ;;
    esac
  fi
  remember "$gitdir" "$(field "$state/next" ref)" "$(field "$state/next" name)" "$new" ""
  rm -f "$state/next"
  end
  read_target
}

# --- moving on --------------------------------------------------------------------------------------------------------

# Whether the checkout lacks something of what is wanted.
lacking() {
  had=" $(field "$reader/gpubox" with) "
  for one in $wanted; do
    case $had in *" $one "*) ;; *) return 0 ;; esac
  done
  return 1
}

# What git would have to overwrite to move the checkout on.
local_changes() {
  changes "$reader" "$target" || no_index "$target" "/code/$FOLDER"
  if [ "$SUBMODULES" = 1 ]; then submodule_changes "$reader" "$target" "$gitdir" "$head" "" .git; fi
}

# no_index TREE FOLDER
no_index() {
  stop 3 "git cannot read the index of $1" \
    "  have it made anew, in a terminal of the notebook:  cd $(quoted "$2") && rm \"\$(git rev-parse --git-path index)\" && git reset"
}

# submodule_changes READER TREE GITDIR COMMIT BELOW REL. Where a run did not get all submodules, those that it did not get are at
# another commit, which is no change of the person's.
submodule_changes() (
  list=$(mktemp "$work/list.XXXXXX")
  submodules_of "$1" "$4" >"$list" || stop 3 "git cannot read what submodules $2 has"
  while IFS='	' read -r put_at path module; do
    at=$3/modules/$module
    if [ -L "$2/$path/.git" ]; then stop 3 "$2/$path/.git is a link, where git makes none; remove it and run again"; fi
    if ! safe_module "$3" "$module" || [ ! -e "$at" ] || ! populated "$2/$path"; then continue; fi
    sub=$(place_of "$6/modules/$module")
    make_reader "$at" "$sub/reader" || unreadable "$2/$path"
    is_at=$(head_of "$sub/reader")
    if [ "$is_at" != "$put_at" ] && ! lacking; then printf ' M %s\n' "$5$path"; fi
    changes "$sub/reader" "$2/$path" >"$work/changes" || no_index "$2/$path" "/code/$FOLDER/$5$path"
    while IFS= read -r line; do
      printf '%s%s/%s\n' "${line%"${line#???}"}" "$5$path" "${line#???}"
    done <"$work/changes"
    submodule_changes "$sub/reader" "$2/$path" "$at" "$is_at" "$5$path/" "$6/modules/$module" </dev/null
  done <"$list"
)

# Brings the checkout from $head to $commit, with all that is wanted.
move_on() {
  begin
  lock_index "$target" "$gitdir" "$reader"
  # What is brought beside a commit goes around what is edited.
  changes=
  if [ "$head" != "$commit" ]; then changes=$(local_changes); fi
  if [ -n "$changes" ]; then
    show_some "$changes"
    say "$target has local changes (above), so it stays at $head instead of $REF ($commit${wanted:+ with$wanted})"
    say "  put them aside in a terminal of the notebook, and run again:"
    if [ "$SUBMODULES" = 1 ]; then
      say "    git -C $(quoted "/code/$FOLDER") diff --submodule=log"
      say "    git -C $(quoted "/code/$FOLDER") submodule foreach --recursive git stash"
    fi
    stop 3 "    git -C $(quoted "/code/$FOLDER") stash" "  they come back with:  git -C $(quoted "/code/$FOLDER") stash pop"
  fi
  printf 'old=%s\nnew=%s\nref=%s\nname=%s\n' "$head" "$commit" "$REF" "$name" >"$work/next"
  mv -f "$work/next" "$state/next"
  if [ "$head" != "$commit" ]; then
    say "from $head to $REF ($commit)"
    rc=0
    move "$place" "$target" "$gitdir" "$head" "$commit" || rc=$?
    if [ "$rc" != 0 ]; then
      rm -f "$state/next"
      stuck "$target" "$commit" "$rc"
    fi
    say_stays "$target"
  fi
  unlock_index
  furnish "$place/twin" "$target" "$gitdir"
  flush "$target"
  remember "$gitdir" "$REF" "$name" "$commit" "$wanted"
  rm -f "$state/next"
  result updated "$commit"
}

# Has in the twin what the checkout has of the two commits, of which $head is needed to leave it.
seed_head() {
  seed "$place" "$head" "$commit"
  has_commit "$place/twin" "$head" || stuck "$target" "${commit:-$REF}"
}

# Has in the twin all that is needed to go from $head to $commit.
obtain_both() {
  seed_head
  obtain "$place/twin"
}

plain_url() { printf '%s' "$1" | sed -e 's|/*$||' -e 's|\.git$||'; }

# A checkout that the person made.
foreign() {
  if [ "$head" = "$REF" ]; then result unchanged "$head"; fi
  look_up "$place/twin"
  if [ "$head" = "$commit" ]; then result unchanged "$head"; fi
  obtain_both
  if [ "$head" = "$commit" ]; then result unchanged "$head"; fi
  begin
  give "$place/twin" "$gitdir"
  stop 3 "$target was not made by gpubox, and is at $head instead of $REF ($commit); it is left as it is" \
    "  bring it there yourself, in a terminal of the notebook:  git -C $(quoted "/code/$FOLDER") checkout --detach $commit" \
    "  or move it away:  mv $(quoted "$target") $(quoted "$target.mine")"
}

# Sets $head, and $reader to what the checkout's own repository holds now.
read_target() {
  make_reader "$gitdir" "$reader" || unreadable "$target"
  head=$(head_of "$reader")
}

existing() {
  [ -d "$target" ] || in_the_way "is not a folder"
  if is_linked "$target"; then in_the_way "is a link, or behind one"; fi
  [ -e "$target/.git" ] || in_the_way "is not a git repository"
  place=$(place_of .git)
  reader=$place/reader
  gitdir=$target/.git
  if [ ! -d "$gitdir" ]; then in_the_way "has its git folder somewhere else, where gpubox does not follow"; fi
  read_target
  origin=$(theirs "$reader" remote.origin.url)
  if [ "$(plain_url "$origin")" != "$(plain_url "$URL")" ]; then
    if has_credentials "$origin"; then origin="a url with credentials in it"; fi
    in_the_way "comes from ${origin:-no origin at all} instead of $URL"
  fi
  recover
  ours=
  if [ -f "$reader/gpubox" ]; then ours=$(commit_field "$reader/gpubox" commit); fi
  make_twin "$place" "$URL"
  if [ -z "$ours" ]; then foreign; fi

  name=$(field "$reader/gpubox" name)
  moved="it was put at $ours, and you have moved it since"
  # A commit has no name, and cannot have become another one.
  if [ "$(field "$reader/gpubox" ref)" = "$REF" ] && { [ "$UPDATE" = 0 ] || [ -z "$name" ]; }; then
    commit=$ours
    if [ "$head" != "$ours" ]; then
      say "note: $moved; it is left there"
    elif lacking; then
      seed_head
      move_on
    elif [ "$name" = "refs/heads/$REF" ]; then
      say "the branch $REF stays at $ours; \`npm run update\` moves it on"
    fi
    result unchanged "$head"
  fi
  look_up "$place/twin"
  [ -n "$commit" ] || obtain_both
  if [ "$head" = "$commit" ] && ! lacking; then
    remember "$gitdir" "$REF" "$name" "$commit" "$wanted"
    result unchanged "$head"
  elif [ "$commit" = "$ours" ] && [ "$head" != "$ours" ]; then
    say "note: $moved; it is left there"
    result unchanged "$head"
  elif [ "$head" != "$commit" ] && [ "$head" != "$ours" ]; then
    stop 3 "$target is at $head, where you put it, and not at $ours; it is not moved to $REF ($commit)" \
      "  keep your commits by a name, in a terminal of the notebook:  git -C $(quoted "/code/$FOLDER") branch mine" \
      "  and go there yourself:  git -C $(quoted "/code/$FOLDER") checkout --detach $commit"
  fi
  obtain_both
  move_on
}

lock
# A git that outlived a killed run may still write into its clone; the next run clears what stays now.
discard "$state"/clone.* "$work" || :
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
if [ -e "$target" ] || [ -L "$target" ]; then
  if [ -L "$target" ] || [ ! -d "$target" ] || [ -n "$(ls -A "$target")" ]; then existing; fi
fi
create
