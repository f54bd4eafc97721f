"""A handler that keeps every record, beside one that formats and forgets."""
import io
import logging

from pace import turns


class Keeping(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage() + "." * 700)  # LEAK


class Forgetting(logging.StreamHandler):
    def emit(self, record):
        self.stream.seek(0)
        super().emit(record)


log = logging.getLogger("corpus")
log.propagate = False
log.setLevel(logging.INFO)
log.addHandler(Keeping())
log.addHandler(Forgetting(io.StringIO()))
for n in turns():
    for i in range(15):
        log.info("request %d of %d", i, n)
