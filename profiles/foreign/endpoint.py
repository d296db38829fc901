"""One /metrics page over HTTP.

Invariants: a fetch ends within its limits of time and size; every way in which it can fail is a
``HeadwayError`` that says how. A token is sent to the address that was given and nowhere else. Knows nothing
of what is on the page.
"""

import os
from urllib.parse import SplitResult, urlsplit

import aiohttp

from headway.errors import HeadwayError, InputError

_LIMIT_S = 10.0
_LARGEST = 64 << 20


def metrics_url(address: str) -> str:
    """The page that an address means: ``host:8000`` is ``http://host:8000/metrics``.

    Raises ``InputError`` for what is no address of a page, and for one with a password, since addresses are
    shown.
    """
    whole = address if "://" in address else f"http://{address}"
    parts = _split(whole)
    if parts is None:
        raise InputError(f"{address}: not the address of a metrics page; give http(s)://HOST:PORT/metrics")
    if parts.username is not None:
        raise InputError("the address of a metrics page must have no user in it; give a token instead")
    return parts._replace(path=parts.path if parts.path.strip("/") else "/metrics", fragment="").geturl()


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the port
        return None
    return parts if is_one else None


class Endpoint:
    """Fetches a page again and again, in a session that its owner closes."""

    def __init__(self, url: str, session: aiohttp.ClientSession, *, token: str | None = None) -> None:
        self.url = url
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def fetch(self) -> str:
        """The page as it is now; raises ``HeadwayError``."""
        limit = aiohttp.ClientTimeout(total=_LIMIT_S)
        try:
            async with self._session.get(
                self.url, headers=self._headers, timeout=limit, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise HeadwayError(_status(response))
                return await _text(response)
        except TimeoutError as error:
            raise HeadwayError(f"no answer within {_LIMIT_S:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise HeadwayError(_why(error)) from error


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        number, text = error.os_error.errno, error.os_error.strerror
        return f"cannot connect: {os.strerror(number) if number and number > 0 else text}"
    return str(error) or type(error).__name__


def _status(response: aiohttp.ClientResponse) -> str:
    said = f"HTTP {response.status} {response.reason}"
    return said + ("; give its token" if response.status in (401, 403) else "")


async def _text(response: aiohttp.ClientResponse) -> str:
    page = bytearray()
    async for chunk in response.content.iter_any():
        page += chunk
        if len(page) > _LARGEST:
            raise HeadwayError(f"the page is larger than {_LARGEST >> 20} MiB")
    return page.decode("utf-8", errors="replace")
