"""A Ray cluster on this machine whose nodes are `ray start` on loopback: an address and CPUs each, so that they can die apart."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Nodes:
    """The cluster's processes.

    Attributes:
        folder: Ray's; its path must be short, since sockets lie in it.
        cpus: of each node.
        address: of the head's dashboard, which takes jobs.
        variables: what a process needs to speak to the cluster.
    """

    folder: Path
    cpus: int
    variables: dict[str, str] = field(default_factory=dict)
    address: str = ""
    _gcs: str = ""
    _processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, nodes: int = 2) -> None:
        """So many nodes, of which the first is the head."""
        ports = [_free_port() for _ in range(3)]
        self._gcs, self.address = f"127.0.0.2:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        # Ray listens on every interface, so even a test's cluster asks for a token.
        secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
        self.variables = secret | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_API_SERVER_ADDRESS": self.address}
        self._start(
            "--head",
            *("--node-ip-address", "127.0.0.2", "--port", str(ports[0]), "--temp-dir", str(self.folder)),
            *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(ports[1])),
            *("--ray-client-server-port", str(ports[2])),
        )
        _wait(lambda: _listens(ports[0], "127.0.0.2"), "the head's GCS")
        for i in range(1, nodes):
            self.add(f"127.0.0.{2 + i}")
        _wait(lambda: _listens(ports[1], "127.0.0.1") and len(self.alive()) == nodes, f"{nodes} nodes")

    def environment(self) -> dict[str, str]:
        """Of a process that is to work on the cluster."""
        return os.environ | self.variables | {"RAY_ADDRESS": self._gcs}

    def add(self, address: str) -> None:
        """One more node."""
        self._start("--address", self._gcs, "--node-ip-address", address)

    def kill(self) -> None:
        """The node that came last dies, as a machine does: nothing on it gets to say a word."""
        _kill_session(self._processes.pop())

    def alive(self) -> list[str]:
        """The living nodes' addresses."""
        code = (
            "import sys; from ray.util.state import list_nodes\n"
            "print(*(n.node_ip for n in list_nodes(sys.argv[1]) if n.state == 'ALIVE'))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, self.address],
            env=os.environ | self.variables,
            capture_output=True,
            text=True,
        )
        return done.stdout.split()

    def stop(self) -> None:
        while self._processes:
            self.kill()

    def _start(self, *arguments: str) -> None:
        shared = ["--num-cpus", str(self.cpus), "--num-gpus", "0", "--object-store-memory", "80000000"]
        shared += ["--disable-usage-stats", "--block"]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *shared, *arguments],
                env={k: v for k, v in os.environ.items() if not k.startswith(("HNP_", "DAGSTER_"))}
                | self.variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)


def _kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Every process of the session; some of Ray's have groups of their own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == process.pid:
                    os.kill(int(entry.name), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _listens(port: int, host: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _wait(ready: Callable[[], bool], what: str, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"no {what} after {seconds} s"
        time.sleep(0.3)
