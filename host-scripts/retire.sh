#!/bin/sh
# Says where the files of an entry of `code` or `data` are that has left the configuration, or whose stack is destroyed.
#
#   ROOT     absolute, or "~/..."
#   KIND     code or data
#   FOLDER   relative to ROOT/KIND
#
# stderr ends in "left: ...". Exit: 0 done, 2 bad parameter.
set -eu
topic="${KIND-} ${FOLDER-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

absolute_root
if [ -e "$ROOT/$KIND/$FOLDER" ]; then say "left: $ROOT/$KIND/$FOLDER"; fi
