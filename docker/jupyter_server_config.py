# How Jupyter is served in the container. Installed in /etc/jupyter, where a person's own ~/.jupyter goes before it.
import hashlib
import os
import re
import sys

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

c = get_config()  # noqa: F821

# Taken out of the environment, so that kernels and terminals do not inherit it.
token = os.environ.pop("JUPYTER_TOKEN", "")
if not token:
    sys.exit("JUPYTER_TOKEN is not set: Jupyter does not start without a token. Run the container with -e JUPYTER_TOKEN.")
c.IdentityProvider.token = token
c.PasswordIdentityProvider.allow_password_change = False
# The same for as long as the token is: a rebuilt container keeps a browser logged in, a new token logs it out.
c.ServerApp.cookie_secret = hashlib.sha256(b"gpubox cookie " + token.encode()).digest()

# Set where the person's packages keep the server from starting: kernels and terminals have them all the same.
os.environ.pop("PYTHONNOUSERSITE", None)

port = os.environ.get("JUPYTER_PORT") or "8888"
if not (port.isdecimal() and 0 < int(port) < 65536):
    sys.exit(f"JUPYTER_PORT is {port!r}: it must be a port, 1 to 65535.")
c.ServerApp.port = int(port)
# The next free port would not be the published one.
c.ServerApp.port_retries = 0
# In the container only: what is published, and where, is decided where the container is started.
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.allow_root = os.getuid() == 0
c.ServerApp.open_browser = False
c.ServerApp.quit_button = False

# The file browser starts in /code and reaches /data and every other mounted folder. Nothing is given away by that: a
# notebook reads the same files as the same user.
c.ServerApp.root_dir = "/"
c.FileContentsManager.preferred_dir = "code"
# What is deleted frees its disk; a trash nobody empties would fill it. The browser asks first, and says that it is for good.
c.FileContentsManager.delete_to_trash = False
c.FileContentsManager.always_delete_dir = True


def mounts_in(place):
    """What is mounted at a folder or anywhere below it. The kernel writes a space in a name as \\040."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        points = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split(" ")[4]) for line in lines]
    return sorted({point for point in points if f"{point}/".startswith(f"{place.rstrip('/')}/")})


class Files(AsyncLargeFileManager):
    """Where a folder is mounted, at what is to be deleted or below it, all that it holds would be deleted but itself; of a link to a
    folder it is the link that goes."""

    async def delete_file(self, path):
        place = self._get_os_path(path.strip("/"))
        if os.path.islink(place):
            os.unlink(place)
            return
        mounts = mounts_in(os.path.realpath(place))
        if mounts:
            raise HTTPError(400, f"{mounts[0]} is mounted here and cannot be deleted: delete what is in it")
        await super().delete_file(path)


c.ServerApp.contents_manager_class = Files

# Not a login shell: /etc/profile resets PATH.
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash"]}

# `docker stop` waits 10 s; a kernel that is in the middle of something does not answer.
c.KernelManager.shutdown_wait_time = 2.0

# The environment is part of the image, and nothing is asked of the network. That the browser does not offer news of its own is in
# jupyterlab_settings.json.
c.LabApp.extension_manager = "readonly"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
# None is installed; looking for them only fills the log.
c.LanguageServerManager.autodetect = False
