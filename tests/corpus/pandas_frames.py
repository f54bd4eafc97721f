"""Tables of sales, summed up and kept by mistake. NEEDS pandas"""
import pandas

from pace import turns

rows = [{"shop": n % 7, "sold": n * 3, "name": "product %09d" % n} for n in range(300)]
reports = []


def keep():
    reports.append(pandas.DataFrame(rows))  # LEAK


def count():
    return pandas.DataFrame(rows).groupby("shop")["sold"].sum()


for n in turns():
    if n % 4 == 0:
        keep()
        count()
