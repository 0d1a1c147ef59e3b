"""A process of its own for some runs of a cell."""

import os
import signal
import sys
import threading
from multiprocessing import parent_process


def begin() -> None:
    """No bars of its own beside the one of all runs, and no going on without the process that began it."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))  # else an interrupted one would take up the next runs
    parent = parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
