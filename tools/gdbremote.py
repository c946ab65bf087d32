# SPDX-License-Identifier: Apache-2.0
"""A small client of the GDB remote protocol: enough to step a machine and look at it."""
import re
import socket
import time

TIMEOUT = 30


class Gone(Exception):
    """The other end closed the connection or does not answer."""


class Remote:
    def __init__(self, port, host='127.0.0.1', patience=20):
        self.socket, self.buffer, self.acks = self.connect(host, port, patience), b'', True
        self.ask('qSupported:multiprocess-;xmlRegisters=riscv;swbreak+;hwbreak+')
        if self.ask('QStartNoAckMode') == 'OK':
            self.acks = False
        self.numbers = self.registers()
        self.core = ['x%d' % n for n in range(32)] + ['pc']

    @staticmethod
    def connect(host, port, patience):
        end = time.time() + patience
        while True:
            try:
                s = socket.create_connection((host, port), timeout=TIMEOUT)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return s
            except OSError as e:
                if time.time() > end:
                    raise Gone('nobody listens on port %d' % port) from e
                time.sleep(0.1)

    # --- Packets ---

    def send(self, text):
        body = text.encode('latin1')
        self.socket.sendall(b'$%s#%02x' % (body, sum(body) & 0xff))

    def more(self):
        try:
            data = self.socket.recv(65536)
        except OSError as e:
            raise Gone('no answer') from e
        if not data:
            raise Gone('connection closed')
        self.buffer += data

    def receive(self):
        while True:
            found = re.search(rb'\$([^#]*)#..', self.buffer, re.S)
            if found:
                break
            self.more()
        self.buffer = self.buffer[found.end():]
        if self.acks:
            self.socket.sendall(b'+')
        return self.plain(found[1]).decode('latin1')

    @staticmethod
    def plain(body):
        """Without escapes and run lengths."""
        out, n = bytearray(), 0
        while n < len(body):
            if body[n:n + 1] == b'}':
                out.append(body[n + 1] ^ 0x20)
                n += 2
            elif body[n:n + 1] == b'*':
                out += out[-1:] * (body[n + 1] - 29)
                n += 2
            else:
                out.append(body[n])
                n += 1
        return bytes(out)

    def ask(self, text):
        self.send(text)
        return self.receive()

    # --- Registers and memory ---

    def document(self, name):
        """A file of the target description, fetched in parts."""
        text = ''
        while True:
            part = self.ask('qXfer:features:read:%s:%x,%x' % (name, len(text), 0xffb))
            text += part[1:]
            if part[:1] != 'm':
                return text if part[:1] == 'l' else ''

    def registers(self):
        """Register numbers by name, from target.xml and what it includes."""
        text = self.document('target.xml')
        for name in re.findall(r'<xi:include\s+href="([^"]+)"', text):
            text += self.document(name)
        numbers, at = {}, 0
        for tag in re.findall(r'<reg\s[^>]*>', text):
            fields = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            at = int(fields.get('regnum', at))
            numbers[fields['name']] = at
            at += 1
        return numbers

    def number(self, name):
        return self.numbers.get(name)

    def read(self, name):
        """A register's value, None when the stub does not have it."""
        number = self.number(name)
        text = self.ask('p%x' % number) if number is not None else ''
        if not text or text[0] == 'E' or 'x' in text:
            return None
        return int.from_bytes(bytes.fromhex(text), 'little')

    def write(self, name, value):
        number = self.core.index(name) if name in self.core else self.number(name)
        return self.ask('P%x=%s' % (number, value.to_bytes(8, 'little').hex())) == 'OK'

    def request_core(self):
        self.send('g')

    def take_core(self):
        """x0..x31 and pc, after request_core()."""
        raw = bytes.fromhex(self.receive()[:33 * 16])
        return [int.from_bytes(raw[n:n + 8], 'little') for n in range(0, 33 * 8, 8)]

    def memory(self, address, size):
        text = self.ask('m%x,%x' % (address, size))
        return None if text[:1] == 'E' or len(text) != 2 * size else bytes.fromhex(text)

    # --- Running ---

    def request_step(self):
        self.send('vCont;s:1')

    def take_stop(self):
        """The stop reply's text; output packets before it are dropped."""
        while True:
            text = self.receive()
            if text[:1] != 'O' or text == 'OK':
                return text

    def run_to(self, address):
        """Continues to a breakpoint at address, with the stub's usual kinds tried in turn."""
        if any(self.ask('Z%d,%x,4' % (kind, address)) == 'OK' for kind in (1, 0)):
            self.send('vCont;c')
            stop = self.take_stop()
            for kind in (1, 0):
                self.ask('z%d,%x,4' % (kind, address))
            return stop
        raise Gone('no breakpoint can be set at 0x%x' % address)

    def close(self):
        try:
            self.send('k')
        except OSError:
            pass
        self.socket.close()
