"""Writes with transformers under Accelerate's disk offload: `accelerate.py REQUEST`; prints one line of JSON."""

import json
import sys
import tempfile
import time

import torch
import transformers

request = json.load(open(sys.argv[1]))
torch.set_num_threads(request["threads"])
prompts = torch.tensor(request["prompts"])
with tempfile.TemporaryDirectory() as offload:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        request["model"],
        dtype=torch.bfloat16,
        device_map="auto",
        max_memory={"cpu": int(request["memoryBytes"])},
        offload_folder=offload,
    )

    def write(new_tokens):
        start = time.perf_counter()
        ids = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            pad_token_id=0,
        )
        return time.perf_counter() - start, ids[:, prompts.shape[1] :].tolist()

    with torch.inference_mode():
        prefill, _ = write(1)
        whole, tokens = write(request["newTokens"])
print(json.dumps({"prefillSeconds": prefill, "decodeSeconds": whole - prefill, "tokens": tokens}))
