"""Parsed documents that are kept."""
from xml.etree import ElementTree

from pace import turns

text = "<doc>" + "".join("<row>value %09d of some length %s</row>" % (n, "." * 60) for n in range(50)) + "</doc>"
trees = []


def parse_and_keep():
    trees.append(ElementTree.fromstring(text))  # LEAK


def parse():
    return len(ElementTree.fromstring(text))


for n in turns():
    parse_and_keep()
    parse()
