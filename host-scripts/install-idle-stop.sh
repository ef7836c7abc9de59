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

# put FILE: standard input becomes its text, at once or not at all; sets changed where it had another.
put() {
  as_root mkdir -p "$(dirname "${PREFIX-}$1")"
  as_root tee "${PREFIX-}$1.new" >/dev/null
  if as_root cmp -s "${PREFIX-}$1.new" "${PREFIX-}$1"; then
    as_root rm "${PREFIX-}$1.new"
  else
    as_root mv "${PREFIX-}$1.new" "${PREFIX-}$1"
    changed=1
  fi
}

folder=/usr/local/lib/gpubox
printf '%s\n' "$CHECK" | put "$folder/idle-check.py"
# Not in the unit: systemd is reloaded for a change of that, which takes the GPUs away from notebooks that run.
printf 'STOP_AFTER=%s\nMAX_HOURS=%s\nGPU=%s\n' "$STOP_AFTER" "${MAX_HOURS-}" "${GPU-}" | put "$folder/idle.conf"
changed=
put /etc/systemd/system/gpubox-idle.service <<END
[Unit]
Description=Stop this machine when it is not used (gpubox)

[Service]
Type=oneshot
EnvironmentFile=$folder/idle.conf
ExecStart=/usr/bin/env python3 $folder/idle-check.py
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
# Whether systemd has not been told of the units: an earlier run may have been killed before it was.
untold() {
  [ -n "$changed" ] || ! systemctl is-active --quiet gpubox-idle.timer ||
    [ "$(systemctl show --property NeedDaemonReload --value gpubox-idle.service)" = yes ]
}
if [ -z "${PREFIX-}" ] && untold; then
  as_root systemctl daemon-reload
  as_root systemctl enable --quiet gpubox-idle.timer
  as_root systemctl restart gpubox-idle.timer
fi
if [ "$STOP_AFTER" = never ]; then idle="does not stop by itself"; else idle="stops after $STOP_AFTER minutes without use"; fi
printf '%s%s\n' "$idle" "${MAX_HOURS:+, and after $MAX_HOURS hours in any case}"
