import threading
from collections.abc import Callable

import pytest

from decomon_widgets.worker import Worker

_PATIENCE = 30


def test_the_newest_request_wins_and_the_others_are_forgotten() -> None:
    served: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def serve(request: int, superseded: Callable[[], bool]) -> None:
        begun.set()
        assert go_on.wait(_PATIENCE)
        served.append(request)

    worker = Worker(serve)
    worker.submit(1)
    assert begun.wait(_PATIENCE)
    for request in (2, 3, 4):
        worker.submit(request)
    assert not worker.idle
    go_on.set()
    assert worker.wait_until_idle(_PATIENCE)
    assert served == [1, 4]


def test_a_waiting_request_and_a_close_supersede_the_current_one() -> None:
    answers: list[bool] = []
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def serve(request: str, superseded: Callable[[], bool]) -> None:
        begun.release()
        assert go_on.acquire(timeout=_PATIENCE)
        answers.append(superseded())

    worker = Worker(serve)
    worker.submit("first")
    assert begun.acquire(timeout=_PATIENCE)
    worker.submit("second")
    go_on.release()
    assert begun.acquire(timeout=_PATIENCE)
    worker.submit("third")
    worker.close()
    go_on.release()
    assert worker.wait_until_idle(_PATIENCE)
    worker.submit("fourth")
    assert worker.idle
    assert answers == [True, True]


def test_there_is_one_thread_and_none_when_idle() -> None:
    threads: list[threading.Thread] = []

    def serve(request: int, superseded: Callable[[], bool]) -> None:
        threads.append(threading.current_thread())

    worker = Worker(serve)
    for request in range(5):
        worker.submit(request)
        assert worker.wait_until_idle(_PATIENCE)
    assert threading.main_thread() not in threads
    for thread in threads:
        thread.join(_PATIENCE)
        assert not thread.is_alive()


def test_a_failing_callback_is_logged_and_the_next_request_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    served: list[int] = []

    def serve(request: int, superseded: Callable[[], bool]) -> None:
        if request == 1:
            raise RuntimeError("from a callback")
        served.append(request)

    worker = Worker(serve)
    worker.submit(1)
    assert worker.wait_until_idle(_PATIENCE)
    worker.submit(2)
    assert worker.wait_until_idle(_PATIENCE)
    assert served == [2]
    assert "from a callback" in caplog.text


def test_inline_work_is_done_before_submit_returns_and_raises_there() -> None:
    served: list[int] = []

    def serve(request: int, superseded: Callable[[], bool]) -> None:
        assert not superseded()
        assert threading.current_thread() is threading.main_thread()
        if request < 0:
            raise RuntimeError("from a callback")
        served.append(request)
        if request == 1:
            worker.submit(2)  # as an observer does that moves epsilon once more
            assert superseded()
            assert served == [1]

    worker = Worker(serve, inline=True)
    worker.submit(1)
    assert served == [1, 2]
    with pytest.raises(RuntimeError, match="from a callback"):
        worker.submit(-1)
    worker.submit(3)
    assert served == [1, 2, 3]


def test_waiting_for_oneself_returns() -> None:
    waited: list[bool] = []

    def serve(request: int, superseded: Callable[[], bool]) -> None:
        waited.append(worker.wait_until_idle())

    worker = Worker(serve)
    worker.submit(1)
    assert worker.wait_until_idle(_PATIENCE)
    assert waited == [False]
