#!/bin/sh
# Lists what gpubox has put below ROOT for entries of `code` and `data`, in the configuration or not any more.
#
#   ROOT  of the stack: absolute, or "~/..."
#
# stdout: a line for each folder that is gpubox's, and for each in which a download or a clone is half made: kind (code or
# data), the entry's folder, kilobytes on the disk, path; tabs between them.
# Exit: 0 done, 2 bad parameter.
set -eu
topic=list
# shellcheck source=host-scripts/common.sh
. ./common.sh
# shellcheck source=host-scripts/ours.sh
. ./ours.sh

absolute_root

show() {
  kilobytes=$(du -sk "$1" 2>/dev/null | cut -f 1)
  printf '%s\t%s\t%s\t%s\n' "$KIND" "$FOLDER" "$kilobytes" "$1"
}

for KIND in code data; do
  # Whatever it works on has a folder of its own there.
  states=$ROOT/$KIND/.gpubox
  [ -d "$states" ] || continue
  find "$states" -mindepth 1 -maxdepth 1 -type d | sort | while IFS= read -r state; do
    FOLDER=$(printf '%s' "${state##*/}" | sed 's|%2F|/|g; s/%25/%/g')
    # Whoever could write there could think of any name.
    if [ ! -d "$state" ] || ! stays_below "$FOLDER" || control_character "$FOLDER"; then continue; fi
    target=$ROOT/$KIND/$FOLDER
    each_of_ours show
    half_made=$(find "$state" -mindepth 1 -maxdepth 1 ! -name lock ! -name '*.log')
    if [ -n "$half_made" ]; then show "$state"; fi
  done
done
