"""The stop button of a notebook, while a verification is running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

ROOT = Path(__file__).parents[2]
PATIENCE = 300
PREPARE = """
from tests.decomon.test_verify_limits import ask_hard

def tell(solved, open_domains, worst_gap):
    if worst_gap < float("inf"):  # something is known
        print(worst_gap, flush=True)

ask_hard(timeout=1)
"""


@pytest.fixture
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(startup_timeout=PATIENCE, cwd=str(ROOT))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def printed(client: BlockingKernelClient, code: str) -> str:
    """What a cell prints; it must not fail."""
    texts: list[str] = []

    def look(message: dict) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            texts.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=look)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(texts)


@pytest.mark.slow
def test_the_stop_button_leaves_the_kernel_and_the_result(
    kernel: tuple[KernelManager, BlockingKernelClient],
) -> None:
    manager, client = kernel
    printed(client, PREPARE)
    for _ in range(3):
        waiting = client.execute("found = ask_hard(timeout=3600, progress=tell)")
        while True:
            message = client.get_iopub_msg(timeout=PATIENCE)
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                break
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=PATIENCE)
        assert reply["parent_header"]["msg_id"] == waiting
        assert reply["content"]["status"] == "ok", reply["content"]
        text = printed(client, "print(found.stopped, found.status[0], found.reason[0])")
        assert text.split() == ["interrupted", "unknown", "interrupted"]
        text = printed(client, "print(bool(found.lower[0] < found.upper[0] < float('inf')))")
        assert text.split() == ["True"]
    # The kernel goes on as if nothing had happened.
    text = printed(client, "again = ask_hard(timeout=1); print(again.stopped)")
    assert text.split() == ["timeout"]
