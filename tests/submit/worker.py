"""A process that checks one submission after another, limited and watched: paths on stdin, verdicts on stdout.

1 GiB of address space, 2 s of processor time for each (the signal ends the process), no file may grow, torch cannot be
imported. Whatever would run code, start a process or write is reported as an event.
"""

import json
import os
import resource
import signal
import sys

sys.modules["torch"] = None
import encodings.cp437  # noqa: E402, F401 - zipfile's own, so that no later import counts as code that is run
from pathlib import Path  # noqa: E402

from bench.submit.checking import read  # noqa: E402
from bench.submit.limits import Rejected  # noqa: E402

SECONDS, MEMORY = 2.0, 2**30
BAD = ("pickle.find_class", "exec", "compile", "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn",
       "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate", "import",
       "socket.connect", "shutil.rmtree", "marshal.loads")  # fmt: skip
events = []


def hook(event, details):
    if event == "open":
        path, mode, flags = details
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            events.append(f"open {path!r} {mode!r}")
    elif event in BAD:
        events.append(f"{event} {str(details[:1])[:80]}")


def verdict(path):
    try:
        return {"digest": read(Path(path)).digest}
    except Rejected as error:
        return {"rejected": str(error), "place": error.place}
    except BaseException as error:
        return {"broken": f"{type(error).__name__}: {error}"}


def main():
    warm = verdict(sys.argv[1])
    assert "digest" in warm, warm
    for path in sys.argv[2:]:
        verdict(path)  # an archive of each kind: what they import is loaded
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    sys.addaudithook(hook)
    for line in sys.stdin:
        events.clear()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        answer = verdict(json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(json.dumps({**answer, "events": list(events)}) + "\n")
        sys.stdout.flush()


main()
