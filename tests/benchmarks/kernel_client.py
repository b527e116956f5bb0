"""jupyter-kernel-client through a Jupyter Server, in an interpreter that has both.

Arguments: executions in a round, and their code. It prints a line when it is ready. For each line
of stdin it runs a round and prints its times in milliseconds.
"""

import contextlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from jupyter_kernel_client import JupyterKernelClient

DEADLINE = 60.0


def main() -> None:
    times, code = int(sys.argv[1]), sys.argv[2]
    token = secrets.token_hex()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        port = free_port()
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
                *(
                    f"--port={port}",
                    f"--IdentityProvider.token={token}",
                    f"--ServerApp.root_dir={folder}",
                ),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(server.wait)
        stack.callback(server.terminate)
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/api?token={token}")
        client = stack.enter_context(JupyterKernelClient(server_url=url, token=token))
        print("ready", flush=True)
        for _ in sys.stdin:
            found = []
            for _ in range(times):
                start = time.perf_counter()
                client.execute(code)
                found.append(1000 * (time.perf_counter() - start))
            print(*found, flush=True)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(url: str) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            urllib.request.urlopen(url, timeout=DEADLINE)  # noqa: S310 - our own server's
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
