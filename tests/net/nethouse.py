# SPDX-License-Identifier: Apache-2.0
"""What the tests of networks share: a house of their own with real guests, and servers for them."""
import ctypes
import glob
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..'))
import realhouse  # pylint: disable=wrong-import-position
from realhouse import POSADA, equal, free_port, has, until  # pylint: disable=wrong-import-position,unused-import


class House(realhouse.House):
    def put(self, name, path, where):
        """Copies a program of ours into a guest."""
        equal(self('cp', path, '%s:%s' % (name, where))[0], 0)


class Served(http.server.BaseHTTPRequestHandler):
    data = b''

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', str(len(self.data)))
        self.end_headers()
        try:
            self.wfile.write(self.data)
        except ConnectionError:
            pass  # a client that gives up is the test's business

    def log_message(self, *_):
        pass


class Server:
    """Serves some bytes over HTTP, on loopback, while it is entered."""

    def __init__(self, data, address='127.0.0.1'):
        self.handler = type('Handler', (Served,), {'data': data})
        self.address = address

    def __enter__(self):
        family = socket.AF_INET6 if ':' in self.address else socket.AF_INET
        kind = type('Kind', (http.server.ThreadingHTTPServer,), {'address_family': family})
        self.server = kind((self.address, 0), self.handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_port

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def verdict(house, test):
    """Runs one test; whether it failed."""
    try:
        test(house)
        house.logs.check()
        print('ok %s' % test.__name__, flush=True)
        return False
    except Exception as e:  # a test may fail in any way
        print('%s: %s' % (type(e).__name__, e))
        for log in glob.glob(house.folder + '/data/guests/*/monitor.log'):
            with open(log, encoding='utf-8', errors='replace') as f:
                print(log, f.read())
        print('not ok %s' % test.__name__, flush=True)
        for guest in os.listdir(house.folder + '/data/guests'):
            house('rm', '-f', guest)
        return True


def fetch(url, timeout=60):
    with urllib.request.urlopen(url, timeout=timeout) as r:
        return r.read()


def compile_guest(house, name):
    """A program of this folder for riscv64 guests; its path."""
    path = os.path.join(house.folder, name)
    if not os.path.exists(path):
        subprocess.run(['riscv64-linux-gnu-gcc', '-static', '-O1', '-Wall', '-Wextra', '-Werror', '-o',
                        path, os.path.join(HERE, name + '.c')], check=True)
    return path


def isolate():
    """From here on a network namespace of our own, and a name server of our own to be asked."""
    new_mounts, new_net = 0x00020000, 0x40000000
    if os.geteuid() or ctypes.CDLL(None).unshare(new_mounts | new_net):
        print('only root can make a network namespace')
        sys.exit(77)
    with tempfile.NamedTemporaryFile('w', delete=False) as f:
        f.write('nameserver 127.0.0.1\nnameserver ::1\n')
    os.chmod(f.name, 0o644)
    subprocess.run('mount --make-rprivate / && mount --bind %s /etc/resolv.conf && ip link set lo up' % f.name,
                   shell=True, check=True)
    os.unlink(f.name)


def main(*tests, prepare=None):
    """Builds tiny for the occasion: without an archive in reach all is skipped."""
    house = House('net')
    house.build()
    if prepare:
        prepare()
    failed = [test for test in tests if verdict(house, test)]
    house.end()
    sys.exit(1 if failed else 0)
