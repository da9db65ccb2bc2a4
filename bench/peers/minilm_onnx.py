"""
all-MiniLM-L6-v2 as ONNX files, F32 and int8, for `bench/embedding.ts`: made of the folder's own safetensors, so that all programs of
that bench compute the same weights. `pip install onnx onnxruntime numpy`, then `python3 minilm_onnx.py FOLDER OUT`. Prints how far
the file's vector of a text is from one computed here by plain numpy.
"""

import json
import os
import shutil
import struct
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

folder, out = sys.argv[1:3]
config = json.load(open(os.path.join(folder, "config.json")))
heads, layers, width = config["num_attention_heads"], config["num_hidden_layers"], config["hidden_size"]
epsilon = config["layer_norm_eps"]


def weights():
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    found = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        found[name] = np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"])
    return found


tensors = weights()
nodes, constants = [], []


def constant(name, value):
    constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return name


def node(kind, inputs, **attributes):
    name = f"v{len(nodes)}"
    nodes.append(helper.make_node(kind, inputs, [name], name=f"n{len(nodes)}", **attributes))
    return name


def norm(x, name):
    scale, bias = (constant(f"{name}.{part}", tensors[f"{name}.{part}"]) for part in ("weight", "bias"))
    return node("LayerNormalization", [x, scale, bias], axis=-1, epsilon=epsilon)


def linear(x, name):
    weight = constant(f"{name}.weight", tensors[f"{name}.weight"].T)
    return node("Add", [node("MatMul", [x, weight]), constant(f"{name}.bias", tensors[f"{name}.bias"])])


def split(x, order):
    return node("Transpose", [node("Reshape", [x, apart])], perm=order)


words = node("Gather", [constant("words", tensors["embeddings.word_embeddings.weight"]), "input_ids"])
types = node("Gather", [constant("types", tensors["embeddings.token_type_embeddings.weight"]), "token_type_ids"])
length = node("Gather", [node("Shape", ["input_ids"]), constant("one", np.array([1]))], axis=0)
positions = node("Slice", [
    constant("positions", tensors["embeddings.position_embeddings.weight"]),
    constant("zero", np.array([0])),
    length,
    constant("first", np.array([0])),
])
x = norm(node("Add", [node("Add", [words, types]), positions]), "embeddings.LayerNorm")
mask = node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
hidden = node("Mul", [
    node("Sub", [constant("whole", np.float32(1)), node("Unsqueeze", [mask, constant("middle", np.array([1, 2]))])]),
    constant("least", np.float32(-3.4e38)),
])
apart = constant("apart", np.array([0, 0, heads, width // heads]))
together = constant("together", np.array([0, 0, width]))
for layer in range(layers):
    base = f"encoder.layer.{layer}"
    q, k, v = (linear(x, f"{base}.attention.self.{part}") for part in ("query", "key", "value"))
    scores = node("MatMul", [split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1])])
    scores = node("Div", [scores, constant(f"root{layer}", np.float32((width // heads) ** 0.5))])
    shares = node("Softmax", [node("Add", [scores, hidden])], axis=-1)
    mixed = node("Transpose", [node("MatMul", [shares, split(v, [0, 2, 1, 3])])], perm=[0, 2, 1, 3])
    y = linear(node("Reshape", [mixed, together]), f"{base}.attention.output.dense")
    y = norm(node("Add", [y, x]), f"{base}.attention.output.LayerNorm")
    inner = node("Gelu", [linear(y, f"{base}.intermediate.dense")])
    x = norm(node("Add", [linear(inner, f"{base}.output.dense"), y]), f"{base}.output.LayerNorm")
nodes[-1].output[0] = "last_hidden_state"

inputs = [
    helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
    for name in ("input_ids", "attention_mask", "token_type_ids")
]
outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["texts", "tokens", width])]
graph = helper.make_graph(nodes, "minilm", inputs, outputs, constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
model.ir_version = 10
onnx.checker.check_model(model)
os.makedirs(os.path.join(out, "onnx"), exist_ok=True)
for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
    if os.path.exists(os.path.join(folder, name)):
        shutil.copy(os.path.join(folder, name), out)
path = os.path.join(out, "onnx", "model.onnx")
onnx.save(model, path)
quantize_dynamic(path, os.path.join(out, "onnx", "model_quantized.onnx"), weight_type=QuantType.QInt8)

ids = np.array([[101, 7592, 2088, 102]])  # "Hello world"
for name in ("model.onnx", "model_quantized.onnx"):
    session = onnxruntime.InferenceSession(os.path.join(out, "onnx", name), providers=["CPUExecutionProvider"])
    (rows,) = session.run(None, {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0})
    vector = rows[0].mean(axis=0)
    vector /= np.linalg.norm(vector)
    print(name, "Hello world:", np.round(vector[:3], 4), "expected [-0.0345 0.031 0.0067]")
