"""Healthy: modules and tables that come one by one, in the first third."""
import importlib

from pace import SECONDS, elapsed, turns

names = ["decimal", "fractions", "statistics", "csv", "html", "http.client", "email.message", "xml.dom.minidom",
         "unittest", "argparse", "difflib", "doctest", "tarfile", "zipfile", "configparser", "plistlib"]
tables = []


def load(name):
    importlib.import_module(name)
    tables.append([str(i) * 50 for i in range(2000)])


for n in turns():
    if n % 25 == 0 and names and elapsed() < SECONDS / 3:  # to compile them all may take longer
        load(names.pop())
