#!/bin/sh
# Waits, on the person's own machine, until a machine that was just made can be logged in to.
#
#   CONNECT   a command line for sh that logs in and out again
#   ADDRESS   of the machine, or with Session Manager the instance's id, for the messages
#   TIMEOUT   seconds
#
# stdout: "reachable after N s". Exit: 0 reachable, 1 not in time or never, 2 bad parameter.
set -eu
topic="ssh to ${ADDRESS-}"
# shellcheck source=host-scripts/common.sh
. ./common.sh

check_timeout
if [ -z "${CONNECT-}" ]; then fail 2 "connect: no command is given"; fi

case $CONNECT in *' ssm start-session '*) by_session=1 ;; *) by_session= ;; esac

# said_line PATTERN: the first line of what was said that matches.
said_line() { printf '%s\n' "$said" | grep -E -m 1 "$1"; }

# option NAME: the `--NAME value` of the command by which Session Manager is asked, as a word to type; nothing without one.
option() { printf '%s\n' "$CONNECT" | sed -n "s/.* --$1 \([A-Za-z0-9_.@-]\{1,\}\).*/ --$1 \1/p" | head -n 1; }

# never PATTERN LINE...: gives up at once where a line of what was said matches.
never() {
  if line=$(said_line "$1"); then
    shift
    fail 1 "$line" "$@"
  fi
}

# What does not pass by waiting.
refuse_what_stays() {
  never '(aws|ssh): (command )?not found|command not found: (aws|ssh)|Bad configuration option|command-line line|No user exists for uid' \
    "  that is this machine's, and not that one's: mend it and run the same command again"
  # Another machine's words are no word on AWS.
  if [ -z "$by_session" ]; then return; fi
  # A session that was begun for a plugin that is not there is ended, and not everybody may end one.
  never 'SessionManagerPlugin is not found|the TerminateSession operation' \
    "  session-manager-plugin is not on the PATH of this machine:" \
    "  https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html"
  never '\((AccessDenied|UnauthorizedOperation|NotAuthorized)[A-Za-z]*\)' \
    "  your login may not start a session there: it takes ssm:StartSession on the instance and on the document AWS-StartSSHSession (docs/aws.md, Permissions)"
  never 'Signature (expired|not yet current)' "  the clock of this machine is wrong:  date  and  timedatectl  tell"
  never '\((Expired|RequestExpired|UnrecognizedClient|InvalidClientTokenId|InvalidSignature|SignatureDoesNotMatch|IncompleteSignature|MissingAuthenticationToken)[A-Za-z]*\)|[Tt]oken (has|is) expired|SSO [Tt]oken|token from sso|[Ss]ession .*has expired|Unable to locate credentials|config profile .* could not be found' \
    "  log in to AWS again and run the same command:  aws sso login$(option profile)  or  aws configure$(option profile)"
  never '\(Invalid[A-Za-z]*\) when calling the StartSession|[Ii]nvalid choice' \
    "  does your aws know Session Manager (aws --version: 2), and is the region right (gpubox:host.region)?"
}

# Whether what keeps us out is the agent, which registers minutes after a machine's start.
is_unregistered() { [ -n "$by_session" ] && said_line '\(TargetNotConnected\)' >/dev/null; }

# give_up SECONDS REASON: the time is up.
give_up() {
  later="it may only be late: run the same command again, which goes on waiting"
  if is_unregistered; then
    fail 1 "not reachable after $1 s: its agent of Session Manager has not registered with AWS" \
      "  look:  aws ssm describe-instance-information --filters Key=InstanceIds,Values=${ADDRESS-}$(option region)$(option profile)" \
      "  the usual causes: no route from its subnet to the internet, or to the endpoints of ssm and ssmmessages; no SSM agent in the image (gpubox:host.ami); a role without AmazonSSMManagedInstanceCore; a machine that is off" \
      "  $later"
  fi
  if [ -z "$by_session" ]; then later="is your address still the one that the firewall lets in (gpubox:host.sshCidr)?"; fi
  fail 1 "not let in after $1 s: $2" "  try it by hand:  $CONNECT" "  $later"
}

started=$(date +%s)
told=0
# Refused, no answer, a key and an agent that are not there yet are all part of a machine's first minutes.
until said=$(sh -c "$CONNECT" 2>&1 </dev/null); do
  refuse_what_stays
  waited=$(($(date +%s) - started))
  # What AWS says tells more than what ssh does about it, behind it.
  last=$(said_line 'An error occurred' || printf '%s\n' "$said" | tail -n 1)
  if [ "$waited" -ge "$TIMEOUT" ]; then give_up "$waited" "$last"; fi
  if [ "$waited" -ge $((told + 10)) ]; then
    if is_unregistered; then last="its agent of Session Manager has not registered with AWS yet"; fi
    say "waiting, $waited of $TIMEOUT s: $last"
    told=$waited
  fi
  sleep 2
done
printf 'reachable after %s s\n' $(($(date +%s) - started))
