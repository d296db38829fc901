import aiohttp
import pytest

from headway.errors import HeadwayError, InputError
from headway.profiles.foreign.endpoint import Endpoint, metrics_url

from .pages import RECORDED, served

URL = "/metrics"


async def fetched(address: str, *, token: str | None = None) -> str:
    async with aiohttp.ClientSession() as session:
        return await Endpoint(metrics_url(address), session, token=token).fetch()


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("host:8000", "http://host:8000/metrics"),
        ("https://host/", "https://host/metrics"),
        ("http://[::1]:8000/metrics", "http://[::1]:8000/metrics"),
        ("http://router/worker-3/metrics?x=1", "http://router/worker-3/metrics?x=1"),
    ],
)
def test_an_address_without_a_path_means_the_metrics_page(address: str, url: str) -> None:
    assert metrics_url(address) == url


@pytest.mark.parametrize("address", ["", "ftp://host/metrics", "http://", "host:port", "host:99999"])
def test_what_is_no_address_is_refused_by_name(address: str) -> None:
    with pytest.raises(InputError, match="not the address of a metrics page"):
        metrics_url(address)


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(InputError, match="no user in it") as caught:
        metrics_url("http://me:secret@host/metrics")
    assert "secret" not in str(caught.value)


async def test_a_page_is_fetched_with_the_token_that_was_given() -> None:
    def answer(path: str, authorization: str | None) -> tuple[int, str]:
        assert path == URL
        return (200, RECORDED) if authorization == "Bearer abc" else (401, "")

    with served(answer) as address:
        assert await fetched(address, token="abc") == RECORDED
        with pytest.raises(HeadwayError, match="HTTP 401 Unauthorized; give its token"):
            await fetched(address)


async def test_a_redirect_is_not_followed() -> None:
    asked = []

    def answer(path: str, authorization: str | None) -> tuple[int, str]:
        asked.append(path)
        return 302, "/elsewhere"

    with served(answer) as address, pytest.raises(HeadwayError, match="HTTP 302 Found"):
        await fetched(address, token="abc")
    assert asked == [URL]


async def test_a_server_that_is_not_there_is_said() -> None:
    with served(lambda path, authorization: (200, "")) as address:
        pass
    with pytest.raises(HeadwayError, match="cannot connect: Connection refused"):
        await fetched(address)
