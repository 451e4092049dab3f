"""What holds for every test: hypothesis tries the same examples on each run, and Ctrl-C works, however it is started.

And what a whole run has only one of: the Triton server, the PostgreSQL server, the process that others are forks of.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import settings

from loadtests.triton import TritonServer
from tests.support.databases import PostgresServer, running_postgres, sqlite
from tests.support.forking import forks
from tests.support.triton import revived, running_triton

FAILED = pytest.StashKey[bool]()
TRITON_DIED = pytest.StashKey[bool]()

# A merge must not hang on luck or on a busy neighbour; searching with many seeds is `make prove`'s work.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.register_profile("prove", derandomize=False, deadline=None, database=None, max_examples=5000)
settings.load_profile("steady")  # unless the command says --hypothesis-profile=prove

# Programs that tests start and interrupt would inherit a Ctrl-C that is ignored, as a shell's background jobs have it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of tests live as long as the run: a collector that walks them stops all that runs here for a second."""
    gc.collect()
    gc.freeze()
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, 5 * old)  # what tests leave behind is walked less often as well


@pytest.fixture(scope="session", autouse=True)
def forks_end() -> Iterator[None]:
    yield
    if forks.cache_info().currsize:
        forks().close()


@pytest.fixture(scope="session")
def triton() -> Iterator[TritonServer]:
    """Started by the first test that asks for it, without a model: `triton.need("llmapi")` loads one."""
    with running_triton() as server:
        yield server


@pytest.fixture(autouse=True)
def triton_lives(request: pytest.FixtureRequest) -> Iterator[None]:
    """Those who share it begin with one that runs, whatever became of it before."""
    shared: TritonServer | None = request.getfixturevalue("triton") if "triton" in request.fixturenames else None
    if shared is not None:
        revived(shared)
    yield
    if shared is not None and revived(shared, may_hang=request.node.stash.get(FAILED, False)):
        request.node.stash[TRITON_DIED] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whether it failed is known when its fixtures end."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A test that fails while Triton dies or hangs by a fault of its own, as old servers do, has another try.

    What makes it die each time fails still, and each time is told in a warning.
    """
    if not isinstance(item, pytest.Function) or "triton" not in item.fixturenames:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(report.failed for report in reports) and item.stash.get(TRITON_DIED, False):
        item._initrequest()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Started by the first test that asks for it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """Each test takes a `database()` of its own, and may stop the server: the next one finds it as if nobody had."""
    yield postgres_server
    postgres_server.revive()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database of either kind."""
    if request.param == "sqlite":
        return sqlite(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()
