"""One library function, called by who keeps and by who does not."""
import json

from pace import turns

kept = []
text = json.dumps(["item %09d " % n * 10 for n in range(100)])


def load_and_keep():
    kept.append(json.loads(text))  # LEAK


def load():
    return json.loads(text)


for n in turns():
    load_and_keep()
    load()
    load()
