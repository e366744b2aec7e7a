"""Writes with transformers under Accelerate's disk offload: `disk_offload.py REQUEST [GROUP]`; prints a `PeerLine` a step.

In a group it enters once its model is open: neither its libraries nor what loading takes for a moment are counted (at a
sixth of a model of 1 GB it is killed while it loads). Pages of the files that weights come from are: they leave memory first,
since without a limit all of them stay in memory that nobody gave it.

Not called accelerate.py: Python would take it for the library.
"""

import json
import os
import sys
import tempfile
import time

import torch
import transformers


def say(line):
    print(json.dumps(line), flush=True)


class Progress(transformers.StoppingCriteria):
    """Asked once a step: notes when the first tokens were there, and ends nothing."""

    def __init__(self):
        self.start = time.perf_counter()
        self.prefill_seconds = None
        self.steps = 0

    def __call__(self, ids, scores, **others):
        self.steps += 1
        if self.prefill_seconds is None:
            self.prefill_seconds = time.perf_counter() - self.start
        say({"newTokens": self.steps * len(ids), "prefillSeconds": self.prefill_seconds})
        return torch.zeros(len(ids), dtype=torch.bool)


def forget_cached(folder):
    for entry in os.scandir(folder):
        with open(entry.path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


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
    if len(sys.argv) > 2:
        for folder in (request["model"], offload):
            forget_cached(folder)
        with open(os.path.join(sys.argv[2], "cgroup.procs"), "w") as processes:
            processes.write(str(os.getpid()))
    say({"newTokens": 0})
    progress = Progress()
    with torch.inference_mode():
        ids = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            min_new_tokens=request["newTokens"],
            max_new_tokens=request["newTokens"],
            pad_token_id=0,
            stopping_criteria=[progress],
        )
    seconds = time.perf_counter() - progress.start
say(
    {
        "prefillSeconds": progress.prefill_seconds,
        "decodeSeconds": seconds - progress.prefill_seconds,
        "tokens": ids[:, prompts.shape[1] :].tolist(),
    }
)
