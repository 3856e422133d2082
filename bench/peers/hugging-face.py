"""Hugging Face's SiglipVisionModel, for torch.ts. usage: hugging-face.py FOLDER DTYPE PIXELS SHAPE

Says in a line of JSON what it runs on, then answers every line of standard input by a forward pass, from host memory to host
memory, and a line of JSON. A line that is not empty names the file for the embeddings, float32 [batch, width].
"""

import json
import os
import queue
import resource
import sys
import threading

import torch
import transformers

folder, dtype, pixels, shape = sys.argv[1:]
device = "cuda" if torch.cuda.is_available() else "cpu"
model = transformers.SiglipVisionModel.from_pretrained(folder, attn_implementation="sdpa").eval()
model = model.to(device, torch.float16 if dtype == "f16" else torch.float32)
images = torch.frombuffer(bytearray(open(pixels, "rb").read()), dtype=torch.float32).reshape(json.loads(shape))

name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
print(json.dumps({"on": f"{name}, torch {torch.__version__}, transformers {transformers.__version__}"}), flush=True)

def read():
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)  # Whoever asked has ended, perhaps while a pass ran for it.


lines = queue.Queue()
threading.Thread(target=read, daemon=True).start()
with torch.inference_mode():
    while line := lines.get():
        pooled = model(pixel_values=images.to(device).to(model.dtype)).pooler_output.float().cpu()
        if line.strip():
            with open(line.strip(), "wb") as file:
                file.write(bytes(pooled.contiguous().untyped_storage()))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(json.dumps({"peak": peak}), flush=True)
