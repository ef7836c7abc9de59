#!/usr/bin/env python3
"""Stops the machine once nobody has used it for a while. Run each minute by a timer, as root.

Busy is: a kernel or terminal that computes or was used lately, a GPU that is used, a shell or a command over SSH. What cannot be
found out counts as busy: a machine that runs for nothing costs money, one that stops in the middle costs work.

Environment: STOP_AFTER (minutes, or "never"), MAX_HOURS (or empty), GPU (1 or empty); for tests also STATE (folder that a
restart empties), PROC (instead of /proc), SHUTDOWN (command).
Output: one line, what was found. It never holds a token.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path

GRACE = 10 * 60  # seconds after a start in which nobody can have logged in yet
GPU_BUSY = 5  # percent; memory that an idle kernel holds is not use
STATE = Path(os.environ.get("STATE", "/run/gpubox"))
PROC = Path(os.environ.get("PROC", "/proc"))
SHUTDOWN = shlex.split(os.environ.get("SHUTDOWN", "shutdown -h now"))


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


def gpu_use():
    """Busy when a GPU is; nothing on a machine without one."""
    if os.environ.get("GPU", "") == "":
        return None
    out = run("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
    use = max(int(line) for line in out.split("\n") if line.strip())
    return f"a GPU is used ({use} %)" if use >= GPU_BUSY else None


def ssh_sessions():
    """Busy while a shell or a command runs over SSH; a mere tunnel has neither."""
    for process in PROC.glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if re.match(r"sshd(-session)?: \S+@\S+", title):
            return "somebody is logged in"
    return None


def ask(address, port, token, path):
    request = urllib.request.Request(f"http://{address}:{port}{path}", headers={"Authorization": f"token {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)


def terminals(where):
    """The terminals of a server; one that has them switched off has none."""
    try:
        return ask(*where, "/api/terminals")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return []
        raise


def jupyter_use(last_used):
    """Busy while a kernel computes; `last_used` takes in when each kernel and terminal was used last."""
    ids = run("docker", "ps", "--quiet", "--filter", "label=gpubox.notebook").split()
    for container in json.loads(run("docker", "inspect", *ids)) if ids else []:
        variables = dict(text.split("=", 1) for text in container["Config"]["Env"])
        bindings = container["NetworkSettings"]["Ports"][f"{variables['JUPYTER_PORT']}/tcp"]
        address = bindings[0]["HostIp"].replace("0.0.0.0", "127.0.0.1")
        where = (address, bindings[0]["HostPort"], variables["JUPYTER_TOKEN"])
        kernels = ask(*where, "/api/kernels")
        if any(kernel["execution_state"] == "busy" for kernel in kernels):
            return f"a kernel of {container['Name'].lstrip('/')} computes"
        for each in kernels + terminals(where):
            used = datetime.fromisoformat(each["last_activity"].replace("Z", "+00:00"))
            last_used.append(used.timestamp())
    return None


def busy_with(last_used):
    """What keeps the machine busy, or None."""
    for signal in (gpu_use, ssh_sessions, lambda: jupyter_use(last_used)):
        try:
            reason = signal()
        except Exception as error:  # whatever it is, it is no sign that nobody is there
            # Its kind alone: the text of an error may hold a command line or an address.
            return f"{getattr(signal, '__name__', '').replace('<lambda>', 'jupyter_use')} cannot be read ({type(error).__name__})"
        if reason:
            return reason
    return None


def stop(why):
    print(f"{why}: stopping this machine", flush=True)
    if subprocess.run(SHUTDOWN, check=False).returncode != 0:
        sys.exit("it did not stop")


def main():
    now = time.time()
    uptime = float((PROC / "uptime").read_text().split()[0])
    hours = os.environ.get("MAX_HOURS", "")
    if hours and uptime >= float(hours) * 3600:
        return stop(f"up for {hours} hours, which is all that was asked for")
    stop_after = os.environ["STOP_AFTER"]
    if stop_after == "never":
        return print("may stay")
    mark = STATE / "last-used"
    last_used = [now - uptime + GRACE, mark.stat().st_mtime if mark.exists() else 0]
    reason = busy_with(last_used)
    if reason:
        last_used.append(now)
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark.touch()
    os.utime(mark, (max(last_used), max(last_used)))
    idle = (now - max(last_used)) / 60
    if idle >= float(stop_after):
        return stop(f"not used for {idle:.0f} minutes")
    print(reason or f"not used for {max(idle, 0):.0f} of {stop_after} minutes")


main()
