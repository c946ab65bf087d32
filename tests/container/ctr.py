# SPDX-License-Identifier: Apache-2.0
"""Containers in a house of their own: a busybox image made here, the real posada, nothing left behind."""
import glob
import gzip
import hashlib
import io
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

BUILD = os.path.abspath(os.environ.get('BUILD', 'build'))
POSADA = os.environ.get('POSADA', os.path.join(BUILD, 'posada'))
ARCH = {'x86_64': 'amd64', 'aarch64': 'arm64', 'riscv64': 'riscv64'}[os.uname().machine]
PASSWD = 'root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/home/guest:/bin/sh\n'
GROUP = 'root:x:0:\nguest:x:1000:\nextra:x:2000:guest,other\n'


def busybox():
    """A static busybox: Debian's busybox-static; None when there is none."""
    for path in ('/bin/busybox', '/usr/bin/busybox'):
        if os.path.exists(path) and b'statically' in subprocess.run(
                ['file', '-L', path], stdout=subprocess.PIPE, check=False).stdout:
            return path
    return None


def tar(entries):
    """name -> bytes (a file), 'text' (a link), None (a directory), or a TarInfo with data in .pax."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.GNU_FORMAT) as t:
        for name, what in entries.items():
            if isinstance(what, tarfile.TarInfo):
                t.addfile(what)
                continue
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if what is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(what, str):
                info.type = tarfile.SYMTYPE
                info.linkname = what
            else:
                info.size = len(what)
            t.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return out.getvalue()


def base_layer():
    path = busybox()
    with open(path, 'rb') as f:
        data = f.read()
    top = tarfile.TarInfo('./')
    top.type, top.mode = tarfile.DIRTYPE, 0o555 # as some distributions' images have it
    entries = {'./': top}
    entries.update({d: None for d in ('bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'root', 'home', 'home/guest', 'srv')})
    entries['bin/busybox'] = data
    applets = subprocess.run([path, '--list'], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    entries.update({'bin/' + a: 'busybox' for a in applets if a != 'busybox'})
    entries['etc/passwd'] = PASSWD.encode()
    entries['etc/group'] = GROUP.encode()
    return tar(entries)


def layout(path, layers, **config):
    """An OCI layout with one image of these tar archives."""
    os.makedirs(path + '/blobs/sha256')

    def blob(data, media, **more):
        digest = hashlib.sha256(data).hexdigest()
        with open('%s/blobs/sha256/%s' % (path, digest), 'wb') as f:
            f.write(data)
        return dict({'mediaType': media, 'digest': 'sha256:' + digest, 'size': len(data)}, **more)
    packed = [blob(gzip.compress(l, 1, mtime=0), 'application/vnd.oci.image.layer.v1.tar+gzip') for l in layers]
    image = {'architecture': ARCH, 'os': 'linux', 'config': config,
             'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + hashlib.sha256(l).hexdigest() for l in layers]}}
    manifest = {'schemaVersion': 2, 'mediaType': 'application/vnd.oci.image.manifest.v1+json', 'layers': packed,
                'config': blob(json.dumps(image).encode(), 'application/vnd.oci.image.config.v1+json')}
    index = blob(json.dumps(manifest).encode(), manifest['mediaType'])
    with open(path + '/index.json', 'w', encoding='ascii') as f:
        json.dump({'schemaVersion': 2, 'manifests': [index]}, f)
    with open(path + '/oci-layout', 'w', encoding='ascii') as f:
        f.write('{"imageLayoutVersion": "1.0.0"}')
    return path


class House:
    """Directories of its own; `with House() as h`: at the end nothing may be left."""

    def __init__(self, user=None, ids=0, group=None):
        """ids: how many further ids the user has, from 300000 on; group: a control group's directory that is his, in a
        group of which he stands."""
        self.dir = tempfile.mkdtemp(prefix='posada-ctr-')
        self.user = user # a uid to run posada as, None: ours
        os.chmod(self.dir, 0o755)
        self.env = dict(os.environ, POSADA_DATA_DIR=self.dir + '/data', POSADA_RUN_DIR=self.dir + '/run',
                        POSADA_CACHE_DIR=self.dir + '/cache')
        self.env.pop('POSADA_DETACH_KEYS', None)
        self.ids = ids
        self.group = group
        if user is not None:
            os.chown(self.dir, user, user)
        if ids:
            self.users()
        if group:
            os.mkdir(group)
            os.mkdir(group + '/session')
            for path in (group, *(group + '/' + n for n in os.listdir(group)), *glob.glob(group + '/session/*')):
                os.chown(path, user, user)

    def users(self):
        """What stands in for the host's files about users."""
        for name in ('passwd', 'subuid', 'subgid'):
            try:
                with open('/etc/' + name, encoding='utf-8') as f:
                    text = f.read()
            except OSError:
                text = ''
            line = 'ctrtest:x:%d:%d::/:/bin/sh\n' % (self.user, self.user) if name == 'passwd' else \
                'ctrtest:300000:%d\n' % self.ids
            with open('%s/%s' % (self.dir, name), 'w', encoding='utf-8') as f:
                f.write(text + line)
            os.chmod('%s/%s' % (self.dir, name), 0o644)

    def words(self, *words):
        """As another user; with a /dev/net/tun that he may use, as most hosts have it."""
        if self.user is None:
            return [POSADA, *words]
        tun = self.dir + '/tun'
        if not os.path.exists(tun):
            os.mknod(tun, 0o020666, os.makedev(10, 200))
            os.chmod(tun, 0o666)
        script = 'test ! -e /dev/net/tun || mount --bind "$0" /dev/net/tun; '
        if self.ids:
            script += 'for n in passwd subuid subgid; do mount --bind %s/$n /etc/$n || exit 99; done; ' % self.dir
        if self.group:
            script += 'echo $$ > %s/session/cgroup.procs || exit 98; ' % self.group
        return ['unshare', '-m', 'sh', '-c', script + 'exec "$@"', tun,
                shutil.which('setpriv') or 'setpriv', '--reuid', str(self.user), '--regid', str(self.user), '--clear-groups', POSADA, *words]

    def start(self, *words, **popen):
        popen.setdefault('stdin', subprocess.DEVNULL)
        return subprocess.Popen(self.words(*words), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                **popen)

    def __call__(self, *words, stdin=b'', timeout=60):
        p = subprocess.run(self.words(*words), env=self.env, input=stdin, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=timeout, check=False)
        return p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')

    def run(self, *words, **more):
        """A container; words with the image's name in them."""
        return self('run', '--technique', 'container', *words, **more)

    def image(self, name='box', layers=None, **config):
        if layers is None:
            layers = [base_layer()]
        path = layout('%s/layout-%s' % (self.dir, name), layers, **config)
        if self.user is not None:
            subprocess.run(['chown', '-R', '%d:%d' % (self.user, self.user), path], check=True)
        code, _, err = self('image', 'import', '--arch', ARCH, '--format', 'oci', '--name', name, path)
        check(code == 0, err)

    def state(self, name):
        for row in json.loads(self('ps', '-a', '--format', 'json')[1]):
            if row['name'] == name:
                return row
        return None

    def wait_state(self, name, *states, seconds=10):
        end = time.time() + seconds
        while time.time() < end:
            row = self.state(name)
            if row and row['state'] in states:
                return row
            time.sleep(0.05)
        raise AssertionError('%s is %s, not %s' % (name, self.state(name), states))

    def wait_logs(self, name, text, seconds=10):
        end = time.time() + seconds
        while text not in self('logs', name)[1]:
            check(time.time() < end, '%s does not print %r' % (name, text), self('logs', name))
            time.sleep(0.05)

    def monitor(self):
        """Pid of this house's monitor, 0: none."""
        for path in glob.glob('/proc/[0-9]*/environ'):
            try:
                with open(path, 'rb') as f:
                    env = f.read()
                with open(os.path.dirname(path) + '/cmdline', 'rb') as f:
                    words = f.read().split(b'\0')
            except OSError:
                continue
            if b'container-monitor' in words and (b'POSADA_RUN_DIR=' + self.env['POSADA_RUN_DIR'].encode()) in env:
                return int(path.split('/')[2])
        return 0

    def processes(self):
        """Of this house: whose environment names its directories."""
        found = []
        for path in glob.glob('/proc/[0-9]*/environ'):
            try:
                with open(path, 'rb') as f:
                    if self.dir.encode() in f.read():
                        found.append(int(path.split('/')[2]))
            except OSError:
                pass
        return found

    def left(self):
        """What is still there that should not be, once all guests are removed."""
        with open('/proc/self/mountinfo', encoding='utf-8') as f:
            left = [l.strip() for l in f if self.dir in l]
        for kind in ('data', 'run'):
            at = '%s/%s/guests' % (self.dir, kind)
            left += [at + '/' + n for n in (os.listdir(at) if os.path.isdir(at) else []) if n != '.lock']
        at = self.dir + '/run/oci'
        left += [at + '/' + n for n in (os.listdir(at) if os.path.isdir(at) else [])
                 if not n.startswith('.')]
        return left

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            names = [r['name'] for r in json.loads(self('ps', '-a', '--format', 'json')[1])]
            if names:
                self('rm', '-f', *names)
            left = self.left()
            verdict('nothing of the containers is left', not left, left)
            end = time.time() + 15
            while self.processes() and time.time() < end:
                time.sleep(0.1)
            verdict('the monitor ends by itself', not self.processes(), subprocess.run(
                ['ps', '-fp', ','.join(map(str, self.processes() or [1]))], stdout=subprocess.PIPE, check=False).stdout)
        finally:
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
            self.remove_group()
            shutil.rmtree(self.dir, ignore_errors=True)


    def remove_group(self):
        """Nothing of the containers' may be in it."""
        if self.group:
            left = glob.glob(self.group + '/posada-*') + glob.glob(self.group + '/session/posada-*')
            verdict('no control group is left', not left, left)
            for path in (*left, self.group + '/session', self.group):
                try:
                    os.rmdir(path)
                except OSError as e:
                    print('  %s: %s' % (path, e), file=sys.stderr)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, house, *words):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            argv = house.words(*words)
            os.execvpe(argv[0], argv, house.env)
        self.text = b''

    def expect(self, what, seconds=15):
        end = time.time() + seconds
        while what.encode() not in self.text:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.time()))
            if not ready:
                raise AssertionError('no %r in %r' % (what, self.text[-500:]))
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b''
            if not data:
                raise AssertionError('ended before %r: %r' % (what, self.text[-500:]))
            self.text += data
        self.text = self.text.split(what.encode(), 1)[1]

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """The exit code, once it has ended."""
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


FAILED = []


def check(good, *what):
    if not good:
        raise AssertionError(' '.join(str(w)[:400] for w in what))


def verdict(name, good, *what):
    print('%s %s' % ('ok' if good else 'not ok', name), flush=True)
    if not good:
        FAILED.append(name)
        print(' ', *[str(w)[:600] for w in what], file=sys.stderr)


def step(name, function, *args):
    """One verdict: what function does must not fail."""
    try:
        function(*args)
    except Exception: # pylint: disable=broad-except
        verdict(name, False, traceback.format_exc())
    else:
        verdict(name, True)


def need(user=False):
    """Why not here; else nothing."""
    if not busybox():
        print('skip: no static busybox')
        sys.exit(77)
    if os.geteuid() and not user:
        print('skip: not root')
        sys.exit(77)


def finish():
    sys.exit(1 if FAILED else 0)
