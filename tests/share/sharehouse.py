# SPDX-License-Identifier: Apache-2.0
"""Guests with shares in directories of their own."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import realhouse  # pylint: disable=wrong-import-position
from realhouse import POSADA, digest, equal, free_port, has, until  # pylint: disable=wrong-import-position,unused-import


class House(realhouse.House):
    """Guests of one user; images come from the user's own directory."""

    def __init__(self, uid=None):
        super().__init__('share', uid)
        self.shared = os.path.join(self.folder, 'shared')
        os.mkdir(self.shared)
        self.env['HOME'] = self.folder
        if uid:
            for path in (self.folder, self.shared):
                os.chown(path, uid, uid)

    def take_images(self, other):
        """Those another house has built."""
        data = self.env['POSADA_DATA_DIR']
        shutil.copytree(other.env['POSADA_DATA_DIR'] + '/images', data + '/images')
        subprocess.run(['chown', '-R', '%d:%d' % (self.uid, self.uid), data], check=True)

    def file(self, name):
        return os.path.join(self.shared, name)

    def write(self, name, data):
        with open(self.file(name), 'wb') as f:
            f.write(data)

    def read(self, name):
        with open(self.file(name), 'rb') as f:
            return f.read()
