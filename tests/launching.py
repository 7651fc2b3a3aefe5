"""Run a script in one or several processes, and read what each of them found."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def launched(script, *arguments, processes=1, **variables):
    """Return what each process printed as `FOUND {...}`, or the error output if none did.

    Options are one argument in JSON.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", **place} if processes == 1 else {}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    given = [argument if isinstance(argument, str) else json.dumps(argument) for argument in arguments]
    command = [sys.executable, *(launcher if processes > 1 else []), str(script), *given]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths} | alone | variables
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as running:
        try:
            output, errors = running.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            running.terminate()  # the launcher then ends its processes, which may wait for each other
            raise
    found = re.findall(r"FOUND (\{[^{}]*\})", output)  # may follow the line of another process
    if not found:
        return errors
    assert len(found) == processes, errors[-3000:]
    return [json.loads(line) for line in found]
