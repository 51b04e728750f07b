"""A real single-node SLURM cluster with two `gres/gpu`, out of Debian's packages, alive for as long as a test needs it.

Needs: root, and the packages slurm-wlm and munge. Everything it writes (configuration, key, sockets, state, device
nodes) lies in one folder, but for two links in /etc/slurm: the plugin's job step drops every SLURM_* variable,
SLURM_CONF included, so that only the default place of the configuration is found from inside a job. A machine that has
a configuration of its own there is left alone (an error says so); a second fixture waits for the first.
"""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
CONFIGURATION_FOLDER = Path("/etc/slurm")
LOCK = Path("/tmp/warmup-sweep-slurm.lock")
MARK = "test-cluster"  # a file that tells this fixture's folders from a real cluster's
LOCK_PATIENCE = 1200  # seconds; longer than the whole suite
DIES_WITH_THE_TEST = ("setpriv", "--pdeathsig", "TERM")
"""Before a command: it gets SIGTERM when the test process ends, however that ends."""
GPUS = 2
CPUS = 4  # SLURM's count, not the machine's: two trainings and two small jobs at once
MEMORY_MB = 64_000  # likewise only booked, never touched

CONFIGURATION = """\
ClusterName=drill
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
# A requeued job is held back until its old credential has expired, twice 120 s unless told; 5 s is the least allowed.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
# No cgroups, no switch, no accounting database: a container offers none of them.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# The scheduler looks at once instead of every few seconds; a finished job stays in squeue for a day.
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2,defer_batch
MinJobAge=86400
KillWait={kill_wait}
InactiveLimit=0
ReturnToService=1
SlurmctldTimeout=30
SlurmdTimeout=30
# What a cluster does with spare nodes: a job of the partition `urgent` takes the place of one in `spot`, which gets
# SIGTERM, GraceTime seconds to write its checkpoint, and goes back to the queue if it was submitted with --requeue.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=spot Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
PartitionName=cpu Nodes={host} PriorityTier=1 PreemptMode=OFF
PartitionName=urgent Nodes={host} PriorityTier=10 PreemptMode=OFF
"""


class ClusterError(RuntimeError):
    """The cluster cannot be started, or does not reach the state that was waited for."""


def require_packages() -> None:
    """Raise unless SLURM and MUNGE are installed and this process is root; the message says what to install."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]
    if missing:
        raise ClusterError(
            f"not found: {', '.join(missing)}. The SLURM tests run a real cluster and are never skipped; install it "
            "with `apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge`"
        )
    if os.geteuid() != 0:
        raise ClusterError(
            "the SLURM tests make device nodes and start daemons: run them as root (a container will do)"
        )


def search_path() -> str:
    """PATH with the folders of the daemons, which a plain user's PATH lacks."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])


SACCT = """#!/bin/sh
# Stands in for the accounting database that a test cluster has not (it needs a MySQL server): knows what squeue knows.
case "$*" in
    *State*--name*) exec squeue --states=all --noheader --format='%i|%T' --name="${*##*--name }" ;;
esac
"""
"""Without it: the plugin needs the program to submit at all, and with slurmctld away for a moment it cannot
read MinJobAge, turns from squeue to sacct, which without a database never answers, and forgets its jobs.
(docs/failures.md)"""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], seconds: float, what: str, every: float = 0.2) -> None:
    """Poll `condition` until it holds; ClusterError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {seconds:.0f} s for {what}")
        time.sleep(every)


class Cluster:
    """Daemons of one cluster. `environment` is that of a process which talks to it (no SLURM_* of an outer cluster)."""

    def __init__(self, folder: Path, kill_wait: int = 20) -> None:
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]
        self.kill_wait = kill_wait
        self.environment: Mapping[str, str] = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLURM")},
            "PATH": f"{folder / 'programs'}{os.pathsep}{search_path()}",
        }
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: TextIO | None = None

    def start(self) -> None:
        """Write the configuration and start munged, slurmctld and slurmd; return once a job has run."""
        require_packages()
        self._take_lock()
        self._write_files()
        self._link_configuration()
        self._start("munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key",
                    f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munged.pid",
                    f"--seed-file={self.folder}/munge.seed")  # fmt: skip
        wait_for((self.folder / "munge.socket").exists, 20, "munged to open its socket")
        self.start_controller()
        self._start("slurmd", "-D")
        self._wait_until_idle()
        self.run("srun", "--time=1", "--immediate=30", "true")

    def stop(self) -> None:
        """End every job and daemon this object started."""
        if "slurmctld" in self._daemons and self._daemons["slurmctld"].poll() is None:
            self.run("scancel", "--user=root", "--signal=KILL", check=False)
            self.run("scancel", "--user=root", check=False)
        for name in ("slurmd", "slurmctld", "munged"):
            self._stop(name)
        for link in self._links():
            if link.is_symlink() and link.readlink().parent == self.folder:
                link.unlink()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def start_controller(self) -> None:
        """Start slurmctld; it takes up the saved state if there is one."""
        self._start("slurmctld", "-D")
        wait_for(self.answers, 30, "slurmctld to answer")

    def stop_controller(self) -> None:
        """Stop slurmctld as an upgrade would: state saved, running jobs untouched."""
        self._stop("slurmctld")

    def answers(self) -> bool:
        """Whether slurmctld answers."""
        return "UP" in self.run("scontrol", "ping", check=False)

    def run(self, *command: str, check: bool = True) -> str:
        """Standard output of a SLURM command; ClusterError with its standard error if it fails and `check` is set."""
        result = subprocess.run(command, env=dict(self.environment), capture_output=True, text=True, timeout=300)
        if check and result.returncode != 0:
            raise ClusterError(f"`{' '.join(command)}` failed: {result.stderr.strip()}\n{self.logs()}")
        return result.stdout

    def jobs(self, rule: str = "", states: str = "all") -> dict[int, str]:
        """{job id: state} of the jobs that the plugin submitted for `rule` (all jobs if empty), by their comment."""
        lines = self.run("squeue", f"--states={states}", "--noheader", "--format=%i|%T|%k").splitlines()
        rows = [line.split("|", 2) for line in lines]
        wanted = [row for row in rows if not rule or row[2] == f"rule_{rule}" or row[2].startswith(f"rule_{rule}_")]
        return {int(number): state for number, state, _ in wanted}

    def logs(self) -> str:
        """The last lines of every daemon's log, for a failure's message."""
        texts = {path.name: path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log"))}
        return "\n".join(f"--- {name}\n" + "\n".join(text.splitlines()[-15:]) for name, text in texts.items())

    def _wait_until_idle(self) -> None:
        def idle() -> bool:
            return self.run("sinfo", "--noheader", "--format=%T", check=False).split() == ["idle"]

        try:
            wait_for(idle, 40, "the node to become idle")
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.run('sinfo', '-R', check=False)}\n{self.logs()}") from None

    def _take_lock(self) -> None:
        self._lock = LOCK.open("a")
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ClusterError(f"another test cluster has held {LOCK} for {LOCK_PATIENCE} s") from None
                time.sleep(1)

    def _links(self) -> list[Path]:
        return [CONFIGURATION_FOLDER / name for name in ("slurm.conf", "gres.conf")]

    def _link_configuration(self) -> None:
        CONFIGURATION_FOLDER.mkdir(parents=True, exist_ok=True)
        for link in self._links():
            if link.is_symlink() and (not link.exists() or (link.readlink().parent / MARK).exists()):
                link.unlink()  # left by a fixture that was killed: its daemons died with it, and the lock is ours
            if link.exists():
                raise ClusterError(
                    f"{link} exists: this machine belongs to a cluster; run the SLURM tests on another one"
                )
            link.symlink_to(self.folder / link.name)

    def _write_files(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        (self.folder / MARK).touch()
        sacct = self.folder / "programs" / "sacct"
        sacct.parent.mkdir()
        sacct.write_text(SACCT)
        sacct.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        devices = [self.folder / f"gpu{index}" for index in range(GPUS)]
        for index, device in enumerate(devices):
            subprocess.run(["mknod", str(device), "c", "195", str(index)], check=True)
        (self.folder / "gres.conf").write_text("".join(f"Name=gpu File={device}\n" for device in devices))
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=self.host,
                folder=self.folder,
                controller_port=free_port(),
                node_port=free_port(),
                cpus=CPUS,
                memory=MEMORY_MB,
                gpus=GPUS,
                kill_wait=self.kill_wait,
                grace=self.kill_wait,
            )
        )

    def _start(self, program: str, *arguments: str) -> None:
        executable = shutil.which(program, path=search_path())
        assert executable is not None, program
        with (self.folder / f"{program}.log").open("ab") as output:
            self._daemons[program] = subprocess.Popen(
                [*DIES_WITH_THE_TEST, executable, *arguments],
                env=dict(self.environment),
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )

    def _stop(self, program: str) -> None:
        daemon = self._daemons.pop(program, None)
        if daemon is None or daemon.poll() is not None:
            return
        daemon.terminate()
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
