"""Makes a folder of this directory: a tiny random checkpoint, and what transformers computes with it.

    python make.py qwen2-moe olmoe-clipped      # in an environment with torch (CPU) and transformers 5.18
"""
import hashlib, json, os, sys, torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM

here = os.path.dirname(os.path.abspath(__file__))
common = dict(vocab_size=199, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, eos_token_id=2,
              bos_token_id=1, max_position_embeddings=2048)
cases = {
    'qwen2-moe': dict(model_type='qwen2_moe', **common, num_key_value_heads=2, intermediate_size=96,
                      moe_intermediate_size=32, shared_expert_intermediate_size=48, num_experts=16,
                      num_experts_per_tok=4, mlp_only_layers=[1], norm_topk_prob=False, rope_theta=1e6),
    'olmoe-clipped': dict(model_type='olmoe', **common, num_key_value_heads=2, intermediate_size=40, num_experts=8,
                          num_experts_per_tok=3, norm_topk_prob=True, clip_qkv=0.8, attention_bias=True),
}


def build(case, seed):
    """Random numbers of a size that makes logits spread, in bf16 as checkpoints are published."""
    torch.manual_seed(seed)
    case = dict(case)
    config = AutoConfig.for_model(case.pop('model_type'), **case)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation='eager')
    for name, value in model.named_parameters():
        if 'norm' in name:
            value.data.normal_(1.0, 0.1)
        elif name.endswith('bias'):
            value.data.normal_(0.0, 0.1)
        else:
            value.data.normal_(0.0, 1.3 * value.shape[-1] ** -0.5)
    return model.to(torch.bfloat16).eval()


def greedy(model, ids, count):
    """Without a cache, ties to the lowest id."""
    new, margins, ids = [], [], list(ids)
    while len(new) < count and (not new or new[-1] != model.config.eos_token_id):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        best = torch.topk(logits, 2)
        new.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
        ids.append(new[-1])
    return new, margins, [round(float(x), 7) for x in logits]


def make(name, seed):
    folder = os.path.join(here, name)
    build(cases[name], seed).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation='eager').eval()
    generator = torch.Generator().manual_seed(seed)
    draw = lambda length: torch.randint(3, 199, (length,), generator=generator).tolist()
    prompts = []
    with torch.no_grad():
        for length in (1, 5, 17, 40):
            ids = draw(length)
            logits = model(torch.tensor([ids]), use_cache=False).logits[0]
            new, margins, final = greedy(model, ids, 24)
            prompts.append(dict(ids=ids, last_logits=[round(float(x), 7) for x in logits[-1]], greedy_ids=new,
                                greedy_margins=margins, greedy_final_logits=final))
        everywhere = [[round(float(x), 7) for x in row] for row in logits]
    if min(m for p in prompts for m in p['greedy_margins']) < 5e-3 or any(len(p['greedy_ids']) < 24 for p in prompts):
        return False
    digest = lambda file: hashlib.sha256(open(os.path.join(folder, file), 'rb').read()).hexdigest()
    expected = dict(schema=1, name=name, model_type=model.config.model_type, seed=seed,
                    reference=dict(transformers=transformers.__version__, torch=torch.__version__),
                    vocab_size=199, prompts=prompts, all_positions=dict(prompt=3, logits=everywhere),
                    files_sha256={file: digest(file) for file in ('config.json', 'model.safetensors')})
    with open(os.path.join(folder, 'expected.json'), 'w') as file:
        json.dump(expected, file)
    return True


for name in sys.argv[1:]:
    print(name, 'seed', next(seed for seed in range(1, 100) if make(name, seed)))
