"""A report that is written and never handed out."""
import io

from pace import turns

report = io.BytesIO()


def write(n):
    report.write(b"line %09d " % n * 800)  # LEAK


def render(n):
    page = io.BytesIO()
    page.write(b"line %09d " % n * 800)
    return page.getvalue()


for n in turns():
    write(n)
    render(n)
