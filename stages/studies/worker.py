"""Sets up a worker process for some runs of a cell."""

import os
import signal
import sys
import threading
from multiprocessing import parent_process


def begin() -> None:
    """Initialize a worker process: hide its progress bars, and end it when it is interrupted or its parent ends."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    signal.signal(signal.SIGINT, lambda *_: os._exit(1))  # otherwise an interrupted worker would begin the next runs
    parent = parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
