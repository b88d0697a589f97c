"""`touchstone serve` over the built-in pair, for tests of clients; their first argument is the program."""
import re
import subprocess
import sys
import unittest

BINARY = sys.argv.pop(1)


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(
            [BINARY, "serve", "demo:distilled", "demo:native", "--port", "0", "--threads", "1"],
            stderr=subprocess.PIPE, text=True)
        cls.url = re.search(r"http://[^\s/]+", cls.server.stderr.readline()).group()

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        assert cls.server.wait(60) == 0, "SIGTERM must end the server with status 0"
        cls.server.stderr.close()
