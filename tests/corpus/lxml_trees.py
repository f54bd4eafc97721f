"""Documents of libxml2, whose memory is malloc's. NEEDS lxml"""
from lxml import etree

from pace import turns

text = "<doc>" + "".join("<row>value %09d of some length %s</row>" % (n, "." * 60) for n in range(50)) + "</doc>"
trees = []


def parse_and_keep():
    trees.append(etree.fromstring(text))  # LEAK


def parse():
    return len(etree.fromstring(text))


for n in turns():
    parse_and_keep()
    parse()
