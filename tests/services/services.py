"""The services that test_services.py puts under load. Every answer depends on the question alone.

    gunicorn services:flask_app        uvicorn services:fastapi_app        celery -A services:celery_app worker
    python services.py pool SECONDS    python services.py tasks SECONDS
"""

import hashlib
import io
import json
import os
import signal
import sys
import time

QUESTIONS = 40


def work(number):
    page = {"rows": [{"id": n, "name": "name %d" % n, "tags": [str(n)] * 5} for n in range(50 + number)]}
    text = json.dumps(json.loads(json.dumps(page)))
    return {"number": number, "digest": hashlib.sha256(text.encode()).hexdigest(), "length": len(text)}


def die():
    """As under the OOM killer. In the middle of a task, since a process of celery's pool that waits for one holds the lock
    that all of them take tasks under: killed then, it leaves a pool that stands still, without us too."""
    os.kill(os.getpid(), signal.SIGKILL)


def compute(number):
    """What a worker of numbers, tables, documents and pictures does."""
    import numpy
    import pandas
    from lxml import etree
    from PIL import Image

    matrix = numpy.arange(10000, dtype=float).reshape(100, 100) + number
    frame = pandas.DataFrame({"key": numpy.arange(2000) % 17, "value": numpy.arange(2000) * number})
    sums = frame.groupby("key")["value"].sum()
    root = etree.Element("root")
    for index in range(200):
        etree.SubElement(root, "item", id=str(index)).text = "text %d" % (index * number)
    picture = Image.new("RGB", (200, 200), (number, 2 * number % 256, 0)).resize((64, 64)).rotate(90)
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    digest = hashlib.sha256()
    for part in ((matrix @ matrix.T).tobytes(), sums.to_numpy().tobytes(), etree.tostring(root),
                 str(len(root.xpath("//item[@id > 100]"))).encode(), packed.getvalue()):
        digest.update(part)
    return digest.hexdigest()


def make_flask():
    from flask import Flask, jsonify

    app = Flask(__name__)

    @app.get("/answer/<int:number>")
    def answer(number):
        return jsonify(work(number))

    @app.get("/pid")
    def pid():
        return str(os.getpid())

    return app


def make_fastapi():
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/answer/{number}")
    def answer(number: int):  # in a thread of its pool
        return work(number)

    @app.get("/pid")
    async def pid():
        return os.getpid()

    return app


def make_celery():
    from celery import Celery

    app = Celery("services", broker="filesystem://", backend="file://" + os.path.abspath("results"))
    app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}
    app.conf.broker_connection_retry_on_startup = True
    app.task(work, name="work")
    app.task(die, name="die")
    return app


MAKERS = {"flask_app": make_flask, "fastapi_app": make_fastapi, "celery_app": make_celery}


def __getattr__(name):
    """Only the service that is asked for is imported."""
    if name not in MAKERS:
        raise AttributeError(name)
    globals()[name] = MAKERS[name]()
    return globals()[name]


def run_pool(seconds):
    import multiprocessing

    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=10) as pool:
        truth = pool.map(compute, range(QUESTIONS), chunksize=1)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert pool.map(compute, range(QUESTIONS), chunksize=1) == truth
    print(hashlib.sha256(json.dumps(truth).encode()).hexdigest())


def run_tasks(seconds):
    """Asks the workers until the time is over. Halfway through one of them is killed, and takes that task along."""
    from celery.exceptions import WorkerLostError

    app = make_celery()
    began, done, killed = time.monotonic(), 0, None
    while time.monotonic() < began + seconds or killed is None:
        if killed is None and time.monotonic() > began + seconds / 2:
            try:
                app.send_task("die").get(timeout=30)
            except WorkerLostError:
                killed = done
        number = done % QUESTIONS
        answer = app.send_task("work", [number]).get(timeout=30)
        assert answer == work(number), (answer, number)
        done += 1
    print("right; tasks before and after the kill:", killed, done - killed)


if __name__ == "__main__":
    {"pool": run_pool, "tasks": run_tasks}[sys.argv[1]](float(sys.argv[2]))
