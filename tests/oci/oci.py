# SPDX-License-Identifier: Apache-2.0
"""Bundles and a runtime for tests of posada-oci: everything in a directory of its own."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

BUILD = os.path.abspath(os.environ.get('BUILD', 'build'))
RUNTIME = os.environ.get('OCI_RUNTIME', os.path.join(BUILD, 'posada-oci'))
BUSYBOX = '/bin/busybox'


def skip(reason):
    print(reason)
    sys.exit(77)


def need_root():
    if os.getuid() != 0:
        skip('needs root')
    if not os.path.exists(BUSYBOX):
        skip('needs busybox-static')
    if subprocess.run(['unshare', '-m', 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
        skip('this host gives no mount namespaces')


class Rig:
    """A bundle with a busybox root, a state directory, and names nobody else uses."""
    made = 0

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='posada-oci-')
        os.chmod(self.dir, 0o755)
        self.root, self.bundle = self.dir + '/state', self.dir + '/bundle'
        self.rootfs = self.bundle + '/rootfs'
        self.base = None
        os.mkdir(self.root)
        self.fresh()

    def fresh(self):
        """A new root file system and the usual configuration."""
        shutil.rmtree(self.bundle, ignore_errors=True)
        os.makedirs(self.rootfs + '/bin')
        for d in ('proc', 'sys', 'dev', 'etc', 'tmp', 'mnt'):
            os.mkdir('%s/%s' % (self.rootfs, d))
        shutil.copy(BUSYBOX, self.rootfs + '/bin/busybox')
        for name in ('sh', 'cat', 'echo', 'sleep', 'true', 'ls', 'id', 'touch', 'mount', 'mknod', 'stat', 'ps',
                     'readlink', 'test', 'env', 'pwd', 'hostname', 'dd', 'head', 'kill', 'false', 'tty'):
            os.symlink('busybox', '%s/bin/%s' % (self.rootfs, name))
        subprocess.run([RUNTIME, 'spec', '-b', self.bundle], check=True)
        with open(self.bundle + '/config.json', encoding='utf-8') as f:
            self.base = json.load(f)
        self.base['process']['terminal'] = False
        del self.base['process']['rlimits']

    def conf(self, *args, **process):
        conf = json.loads(json.dumps(self.base))
        conf['process'].update(args=list(args) or ['true'], **process)
        return conf

    def write(self, conf):
        with open(self.bundle + '/config.json', 'w', encoding='utf-8') as f:
            f.write(conf if isinstance(conf, str) else json.dumps(conf))

    def name(self):
        Rig.made += 1
        return 't%d-%d' % (os.getpid(), Rig.made)

    def words(self, *args):
        return [RUNTIME, '--root', self.root, *args]

    def __call__(self, *args, timeout=30, **more):
        """(exit code, stdout, stderr)"""
        more.setdefault('stdin', subprocess.DEVNULL)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err: # a pipe would wait for detached ones
            p = subprocess.run(self.words(*args), stdout=out, stderr=err, check=False, timeout=timeout,
                               cwd=self.bundle, **more)
            out.seek(0)
            err.seek(0)
            return p.returncode, out.read().decode(errors='replace'), err.read().decode(errors='replace')

    def run(self, conf, *options, **more):
        self.write(conf)
        return self('run', *options, self.name(), **more)

    def state(self, name):
        code, out, _ = self('state', name)
        return json.loads(out) if code == 0 else None

    def leftovers(self):
        """What a finished container must not leave: states, groups, processes."""
        left = [n for n in os.listdir(self.root) if not n.startswith('.')]
        for path, dirs, _ in os.walk('/sys/fs/cgroup'):
            left += [os.path.join(path, d) for d in dirs if d.startswith('posada-t%d-' % os.getpid())]
            if path.count('/') > 4:
                dirs.clear()
        return left

    def close(self):
        for n in os.listdir(self.root):
            if not n.startswith('.'):
                self('delete', '-f', n)
        shutil.rmtree(self.dir, ignore_errors=True)


def check(what, *context):
    if not what:
        raise AssertionError(' '.join(str(c) for c in context))


def main(tests):
    """Runs functions named test_* with a rig, a verdict a line."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    need_root()
    failed = False
    words = sys.argv[1:]
    for name, function in sorted(tests.items()):
        if not name.startswith('test_') or (words and not any(w in name for w in words)):
            continue
        rig = Rig()
        try:
            reason = function(rig)
            left = rig.leftovers()
            check(not left, 'left behind:', left)
            print('skip %s: %s' % (name[5:], reason) if reason else 'ok %s' % name[5:], flush=True)
        except Exception: # pylint: disable=broad-except
            failed = True
            traceback.print_exc(file=sys.stdout)
            print('not ok %s' % name[5:], flush=True)
        finally:
            rig.close()
    sys.exit(1 if failed else 0)
