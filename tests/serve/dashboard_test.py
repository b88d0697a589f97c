#!/usr/bin/env python3
"""deploy/grafana-dashboard.json against /metrics of a server. usage: dashboard_test.py TOUCHSTONE DASHBOARD"""
import json
import pathlib
import re
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

BINARY, DASHBOARD = sys.argv.pop(1), json.loads(pathlib.Path(sys.argv.pop(1)).read_text())
SCRAPED = {"instance", "job"}  # labels that Prometheus adds
PANELS = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
EXPRESSIONS = [t["expr"] for p in PANELS for t in p["targets"]]
QUERIES = [v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        return urllib.request.urlopen(request, timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


def exported_series():
    """What a server that has answered and refused shows: the name of each series -> the names of its labels."""
    server = subprocess.Popen([BINARY, "serve", "demo:native", "--port", "0", "--threads", "1"],
                              stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://\S+", server.stderr.readline()).group()
        assert post(url + "/v1/completions", {"prompt": "Tom has", "max_tokens": 4, "ignore_eos": True}) == 200
        assert post(url + "/v1/completions", {"prompt": "Tom has", "model": "none"}) == 404
        metrics = urllib.request.urlopen(url + "/metrics", timeout=60).read().decode()
    finally:
        server.terminate()
        server.wait(60)
        server.stderr.close()
    series = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", metrics, re.MULTILINE):
        series.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return series


class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.series = exported_series()

    def test_a_server_exports_every_series_and_label(self):
        self.assertGreater(len(EXPRESSIONS), 10)
        for expression in EXPRESSIONS + QUERIES:
            names = re.findall(r"\btouchstone_\w+", expression)
            self.assertTrue(names, expression)
            for name in names:
                self.assertIn(name, self.series, expression)
            labels = set().union(*(self.series[name] for name in names)) | SCRAPED
            selected = set(re.findall(r'(\w+)=~?"', expression))
            grouped = {label for by in re.findall(r"\bby \(([^)]*)\)", expression) for label in by.split(", ")}
            of_values = set(re.findall(r"label_values\(.*, (\w+)\)$", expression))
            self.assertLessEqual(selected | grouped | of_values, labels, expression)

    def test_legends_and_selectors_use_what_there_is(self):
        variables = {v["name"] for v in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
        for expression in EXPRESSIONS + QUERIES:
            self.assertLessEqual(set(re.findall(r"\$(\w+)", expression)), variables, expression)
        for target in (t for p in PANELS for t in p["targets"]):
            by = re.search(r"\bby \(([^)]*)\)", target["expr"])
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            self.assertLessEqual(shown, set(by.group(1).split(", ")) if by else set(), target)

    def test_panels_do_not_overlap(self):
        cells = [(x, y) for p in DASHBOARD["panels"] for g in [p["gridPos"]]
                 for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])]
        self.assertEqual(len(cells), len(set(cells)))
        self.assertLess(max(x for x, _ in cells), 24)
        ids = [p["id"] for p in DASHBOARD["panels"]]
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    unittest.main()
