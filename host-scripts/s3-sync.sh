#!/bin/sh
# Puts what is in a folder of S3 into ROOT/data/FOLDER, with the credentials that the machine has.
#
#   ROOT     absolute, or "~/..."; ROOT/data exists (prepare.sh)
#   URL      s3://BUCKET or s3://BUCKET/FOLDER
#   FOLDER   relative to ROOT/data
#
# stdout: the folder as an absolute path; stderr ends in "created|unchanged: ...".
# Exit: 0 done, 1 failed, 2 bad parameter, 3 the person's files are in the way.
#
# FOLDER/.gpubox.json says where it came from; a folder is never written to again, so what the person changed there stays.
# ROOT/data/.gpubox/<folder>/ holds the lock and what is half there; a run that was cut short goes on where it ended.
set -eu
topic="data ${FOLDER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

absolute_root
check_folder data
case ${URL-} in
  *[!A-Za-z0-9._/:=+@-]*) fail 2 "url: '$URL' has characters that it may not have" ;;
  s3://?*) ;;
  *) fail 2 "url: '${URL-}' is not an s3 url" ;;
esac
URL=${URL%/}
have aws || fail 1 "needs aws, the AWS command line" "  it is in AWS's Deep Learning images; elsewhere:  sudo apt-get install awscli"

target=$ROOT/data/$FOLDER
state=$(state_folder data)
lock

came_from() { read_mark "$target/.gpubox.json" | sed -n 's/.*"s3": *"\([^"]*\)".*/\1/p'; }
if [ -e "$target" ] || [ -L "$target" ]; then
  if [ "$(came_from)" = "$URL" ]; then
    say "unchanged: $target"
    printf '%s\n' "$target"
    exit 0
  fi
  if [ ! -d "$target" ] || [ -n "$(ls -A "$target")" ]; then
    fail 3 "$target is there and does not come from $URL; it is left as it is" \
      "  move it away and run again:  mv $(quoted "$target") $(quoted "$target.mine")" \
      "  or give this entry of data: another folder"
  fi
fi

# One url's files are never mixed with another's.
part=$state/s3-$(printf '%s' "$URL" | cksum | cut -d ' ' -f 1)
mkdir -p "$part"
# S3 holds no links, and aws would write through one.
found=$(find "$part" ! -type f ! -type d | head -n 1)
if [ -n "$found" ]; then refuse_intruder "$found"; fi
failed=
aws s3 sync "$URL" "$part" --only-show-errors >"$state/aws.log" 2>&1 || failed=yes
tail -c 65536 "$state/aws.log" | show_lines
rm -f "$state/aws.log"
[ -z "$failed" ] ||
  fail 1 "$URL cannot be read" "  what there is:  aws s3 ls $URL/" "  on a machine of gpubox's own its role may read what the entries of data: name"
if [ -z "$(ls -A "$part")" ]; then fail 1 "there is nothing at $URL: it must be a folder, with files below it"; fi
printf '{"s3": "%s"}\n' "$URL" >"$part/.gpubox.json"
flush "$part"
enter_parent make
name=./${target##*/}
if [ -d "$name" ] && [ ! -L "$name" ]; then rmdir "$name"; fi
rename "$part" "$name"
say "created: $target"
printf '%s\n' "$target"
