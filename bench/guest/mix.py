# SPDX-License-Identifier: Apache-2.0
def sieve(n):
    s = bytearray([1]) * (n + 1)
    for i in range(2, int(n ** 0.5) + 1):
        if s[i]:
            s[i * i::i] = bytes(len(range(i * i, n + 1, i)))
    return sum(s) - 2

class Node:
    __slots__ = ("key", "left", "right")
    def __init__(self, key):
        self.key, self.left, self.right = key, None, None

def insert(root, key):
    node = root
    while True:
        if key < node.key:
            if node.left is None:
                node.left = Node(key); return
            node = node.left
        else:
            if node.right is None:
                node.right = Node(key); return
            node = node.right

x, root, words = 12345, Node(1 << 30), {}
for i in range(25000):
    x = (x * 1103515245 + 12345) & 0x7fffffff
    insert(root, x)
    w = "k%d" % (x % 5000)
    words[w] = words.get(w, 0) + 1
t = 0
for i in range(600000):
    t = (t * 31 + i) & 0xffffffff
print(sieve(300000), len(words), t, sorted(words.items())[:2])
