"""Takes a data set's file from a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .download import Changed, Download, GivenUp, Limits, Wanted, WrongSize
from .files import BegunAnew, Files
from .places import discard, is_file, remove
from .say import say
from .slots import Slots
from .source import Interrupted
from .web import Proxies, Session, Unreachable, refuse_unspoken, split

if TYPE_CHECKING:
    from .fetch import Fetching

# Times that a file is downloaded from its beginning, where the server has another one meanwhile.
_MOST_TIMES = 3


def take_from_web(fetching: Fetching) -> None:
    """Takes the file at fetching.url. Raises Refused where that does not give it, and Failure."""
    proxies = Proxies(dict(os.environ))
    try:
        proxy = proxies.of(split(fetching.url))
    except Unreachable as error:
        fetching.refuse(str(error))
    if proxy:
        refuse_unspoken(proxy, fetching.origin)

    def session() -> Session:
        return Session(fetching.url, proxies, fetching.wanted.speed_time)

    if _is_there_still(fetching, session()):
        return
    for _ in range(_MOST_TIMES):
        try:
            _download(fetching, session())
            return
        except BegunAnew:
            pass
    fetching.refuse("it has changed each time while it was downloaded")


def _is_there_still(fetching: Fetching, session: Session) -> bool:
    """Takes what an earlier run has brought, where the server tells that it is still of the file that it has: without a hash."""
    files = Files(fetching.state, fetching.wanted.sha256)
    if not is_file(files.file):
        return False
    before = files.recall(fetching.url)
    now = session.ask() if before is not None and before.version else None
    if before is not None and now is not None and (now.version, now.size) == (before.version, before.size):
        fetching.take_file(files.file, before)
        return True
    remove(files.file, files.answer)
    files.remove_part()
    return False


def _download(fetching: Fetching, session: Session) -> None:
    wanted = fetching.wanted
    download = Download(
        session=session,
        url=fetching.url,
        origin=fetching.origin,
        root=wanted.root,
        state=fetching.state,
        wanted=Wanted(wanted.sha256, wanted.size, wanted.given_name),
        limits=Limits(wanted.retry_delay, wanted.speed_limit, wanted.speed_time),
        slots=Slots(fetching.place.states, wanted.connections),
    )
    try:
        download.start()
        fetching.take(download, download.wait_for_answer())
    except (Interrupted, WrongSize) as error:
        download.stop()
        discard(fetching.staging)
        problem = download.problem or error
        if isinstance(problem, Changed):
            download.discard()
            say(f"{fetching.origin} has changed while it was downloaded; downloading all of it again")
            raise BegunAnew from None
        if isinstance(problem, WrongSize):
            download.discard()
            fetching.refuse_size(problem.size)
        if isinstance(problem, GivenUp):
            fetching.refuse(str(problem))
        raise problem from None
    finally:
        download.close()
