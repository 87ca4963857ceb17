"""One of several concurrent downloads of a data set.

racing_download.py <url> <root> <sha256s as JSON>
"""

import json
import sys
from pathlib import Path

from vgg_lit.data import downloads, fashion_mnist
from vgg_lit.errors import InputError

url, root, digests = sys.argv[1:]
downloads.SCHEMES = ("http://127.0.0.1",)  # the local test server; users may only use https
downloads.PAUSES = (0.1,) * 4
fashion_mnist.URL = url
fashion_mnist.IDX_FILES = json.loads(digests)

sys.stdin.read()  # blocks until all processes start together
source = fashion_mnist.FashionMNIST(Path(root))
try:
    source.prepare()
    print(len(source.load("train").labels_N), len(source.load("test").labels_N))
except InputError as error:
    sys.exit(f"error: {error}")
