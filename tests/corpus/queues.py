"""A producer that is faster than its consumer; a queue that is bounded."""
import queue

from pace import turns

backlog, jobs = queue.Queue(), queue.Queue(maxsize=400)


def produce(n):
    backlog.put("job %09d " % n * 80)  # LEAK


def offer(n):
    if jobs.full():
        jobs.get()
    jobs.put("job %09d " % n * 80)


for n in turns():
    for i in range(15):
        produce(i)
        offer(i)
    for i in range(3):
        backlog.get()
