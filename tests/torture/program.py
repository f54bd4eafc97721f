"""What the host does while the agent's calls fail: threads, a forked child, memory that comes and goes, three dumps."""
import os
import sys
import threading
import time

kept = []


def work():
    for number in range(3000):
        kept.append(bytes(700 + number % 50))
        if number % 3 == 0:
            kept.pop()


threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
time.sleep(2.2)
pid = os.fork()
if not pid:
    work()
    print("child", len(kept), flush=True)
    os._exit(3)
print("child ended", os.waitpid(pid, 0)[1] >> 8, "kept", len(kept), flush=True)
print("a line of the program", file=sys.stderr)
sys.exit(5)
