#!/bin/sh
# Sees to it that the machine stops itself when it is not used: puts a program and a timer there.
#
#   CHECK        text of the program, idle-check.py
#   STOP_AFTER   minutes, or "never"
#   MAX_HOURS    hours, or empty
#   GPU          1 where the machine has a GPU, else empty
#   PREFIX       optional, folder to install below instead of /
#
# stdout: when it stops. Exit: 0 done, 1 failed, 2 bad parameter.
set -eu
topic="idle stop"
# shellcheck source=host-scripts/common.sh
. ./common.sh

case ${STOP_AFTER-} in
  never) ;;
  '' | *[!0-9]*) fail 2 "stop after: '${STOP_AFTER-}' is neither a number of minutes nor \"never\"" ;;
esac
case ${MAX_HOURS-} in
  *[!0-9]*) fail 2 "max hours: '$MAX_HOURS' is not a number" ;;
esac
if [ -z "${CHECK-}" ]; then fail 2 "check: the program is not given"; fi
have python3 || fail 1 "needs python3, to look at the notebooks" "  for instance:  sudo apt-get install python3"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# put FILE: standard input becomes its text, at once or not at all.
put() {
  as_root mkdir -p "$(dirname "${PREFIX-}$1")"
  as_root tee "${PREFIX-}$1.new" >/dev/null
  as_root mv "${PREFIX-}$1.new" "${PREFIX-}$1"
}

printf '%s\n' "$CHECK" | put /usr/local/lib/gpubox/idle-check.py
put /etc/systemd/system/gpubox-idle.service <<END
[Unit]
Description=Stop this machine when it is not used (gpubox)

[Service]
Type=oneshot
Environment=STOP_AFTER=$STOP_AFTER MAX_HOURS=${MAX_HOURS-} GPU=${GPU-}
ExecStart=/usr/bin/env python3 /usr/local/lib/gpubox/idle-check.py
END
put /etc/systemd/system/gpubox-idle.timer <<END
[Unit]
Description=Look each minute whether this machine is used (gpubox)

[Timer]
OnBootSec=60
OnUnitActiveSec=60
AccuracySec=5

[Install]
WantedBy=timers.target
END
if [ -z "${PREFIX-}" ]; then
  as_root systemctl daemon-reload
  as_root systemctl enable --quiet gpubox-idle.timer
  as_root systemctl restart gpubox-idle.timer
fi
if [ "$STOP_AFTER" = never ]; then idle="does not stop by itself"; else idle="stops after $STOP_AFTER minutes without use"; fi
printf '%s%s\n' "$idle" "${MAX_HOURS:+, and after $MAX_HOURS hours in any case}"
