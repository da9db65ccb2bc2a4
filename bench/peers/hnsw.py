"""
How a graph of nearest neighbours (hnswlib) compares with looking at every row: the processor's seconds to build it, and for several
breadths of the search the processor's milliseconds and the share of the ten nearest that it finds. `pip install hnswlib numpy`, then
`python3 hnsw.py ROWS [THREADS]`; beside it `bun bench/search.ts ROWS`. Vectors lie near a space of 32 dimensions, about as those of texts do:
a graph does worse on vectors without such an order.
"""

import json
import sys
import time

import hnswlib
import numpy as np

rows, width, inner, queries = int(sys.argv[1]), 384, 32, 200
threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
rng = np.random.default_rng(1)
basis = rng.standard_normal((inner, width), np.float32)


def vectors(count):
    made = rng.standard_normal((count, inner), np.float32) @ basis + 0.7 * rng.standard_normal((count, width), np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


data, asked = vectors(rows), vectors(queries)
begin = time.process_time()
index = hnswlib.Index(space="ip", dim=width)
index.init_index(max_elements=rows, M=16, ef_construction=200)
index.add_items(data, num_threads=threads)
print(json.dumps({"rows": rows, "build_s": round(time.process_time() - begin, 1), "build_threads": threads}), flush=True)
nearest = np.argsort(-(asked @ data.T), axis=1)[:, :10]
index.set_num_threads(1)
for breadth in (16, 32, 64, 128, 256, 512):
    index.set_ef(breadth)
    begin = time.process_time()
    found, _ = index.knn_query(asked, k=10)
    ms = (time.process_time() - begin) / queries * 1000
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, nearest)])
    print(json.dumps({"ef": breadth, "ms": round(ms, 3), "found": round(float(share), 4)}), flush=True)
