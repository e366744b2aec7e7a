import { describe, expect, it } from 'vitest';
import { callCli, runCli } from '../cli.js';

// Each case: what was typed, and what standard error must say. All end with exit code 2 and an empty answer.
const wrong: readonly (readonly [args: string, message: string])[] = [
  ['', 'Usage: specoffload'],
  ['bogus', "unknown command 'bogus'"],
  ['run --foo', "unknown option '--foo'"],
  ['run --candidate 4', '(Did you mean --candidates?)'],
  ['run extra', "too many arguments for 'run'"],
  ['run --native', "option '--native <which>' argument missing"],
  [
    'bench nope',
    'invalid part of the bench: nope; expected peers, picks, q4k, search, queue, fine-grained, products, tasks',
  ],
  [
    'bench peers --legs vllm',
    'invalid --legs: vllm; expected specoffload-bf16, llama.cpp, llama.cpp-same-memory, accelerate',
  ],
  [
    'bench products --rounds 2',
    '--rounds is of what is measured by turns; add bench peers or bench picks, or leave',
  ],
  ['bench peers --gpu', 'peers and --gpu are benches of their own; ask for one at a time'],
  ['bench --gpu 0 --acceptance', '--gpu and --acceptance are benches of their own'],
  ['run --native gpu', 'invalid --native: gpu; expected auto, native, twin'],
  ['run --strategy fast', 'invalid --strategy: fast; expected none, serial, specoffload'],
  ['run --candidates 0', 'invalid --candidates: 0; expected a whole number from 1 to 64'],
  ['run --candidates four', 'invalid --candidates: "four"; expected a whole number from 1 to 64'],
  ['run --batches 65', 'invalid --batches: 65; expected a whole number from 1 to 64'],
  [
    'run --prefill-order sideways',
    'invalid --prefill-order: "sideways"; expected batch-major or layer-major',
  ],
  ['run --draft-cache none', 'invalid --draft-cache: "none"; expected recompute, resident'],
  ['run --new-tokens 0', 'invalid --new-tokens: 0; expected a whole number from 1 to 1048576'],
  ['run --new-tokens=-1', 'invalid --new-tokens: -1'],
  [
    'run --device cpu:1',
    'invalid --device: cpu:1; expected cpu or isolated or vulkan or auto (of several GPUs',
  ],
  ['run --device isolated:2', 'invalid --device: isolated:2; expected cpu or isolated'],
  ['run --device vulkan:999', 'invalid --device: vulkan:999; expected cpu or isolated'],
  ['run --device-cores 1.5', 'invalid --device-cores: 1.5'],
  ['run --prefill-cores 9999', 'invalid --prefill-cores: 9999; this machine has'],
  ['run --device vulkan --prefill-cores 2', 'invalid --prefill-cores: 2; vulkan computes on the card'],
  ['start --arithmetic fp8', 'invalid --arithmetic: fp8; expected f32, bf16'],
  ['run --device-cores 9999', 'invalid --device-cores: 9999; this machine has'],
  ['run --plan --host-cores 9999', 'invalid --host-cores: 9999; this machine has'],
  ['profile --device-cores 9999', 'invalid --device-cores: 9999; this machine has'],
  ['run --device-memory 512', 'invalid --device-memory: 512; expected a size from 4KiB to 64TiB'],
  ['run --host-memory 1B', 'invalid --host-memory: 1B'],
  ['run --link-cap 12GB', 'invalid --link-cap: 12GB; expected a rate'],
  [
    'run --host-arithmetic-cap 300MB/s',
    'invalid --host-arithmetic-cap: 300MB/s; expected a rate from 100kFLOP/s',
  ],
  ['run --host-weights-cap 1', 'invalid --host-weights-cap: 1; expected a rate'],
  ['run --device-cache-factor 0.5', 'invalid --device-cache-factor: 0.5; expected a number from 1'],
  ['run --draft-cache-factor many', 'invalid --draft-cache-factor: many; expected a number from 1'],
  ['run --product-noise=', 'invalid --product-noise: ; expected a number from 0 to 1, or a machine'],
  ['run --product-noise=-0.1', 'invalid --product-noise: -0.1; expected a number from 0 to 1, or a machine'],
  ['run --target-format q3', 'invalid --target-format: q3; expected'],
  [
    'run --target-format lossless',
    '--target-format lossless is for the planner; add --plan, or leave it out',
  ],
  ['simulate --target-format lossless', 'invalid --target-format: lossless; expected'],
  ['run --tunnel', "option '--tunnel <file>' argument missing"],
  ['tunnel --out x', "required option '--like <which>' not specified"],
  ['tunnel --like env1', "required option '--out <file>' not specified"],
  ['tunnel --like env1 --out x --dataset mine', 'invalid --dataset: mine; expected HumanEval, C-Eval'],
  ['tunnel --like env1 --out x --num-prompts 1', 'invalid --num-prompts: 1; expected a whole number from 2'],
  ['tunnel --like env1 --out x --acceptance 2', 'invalid --acceptance: 2; expected a rate from 0 to 1'],
  ['model', 'Usage: specoffload model'],
  ['model inspect', "missing required argument 'model'"],
  ['model inflate --source a', "required option '--target <path>' not specified"],
  ['model inflate --source a --target b --layers 0', 'invalid --layers: 0'],
  ['model logits --target a', "required option '--ids <file>' not specified"],
];

describe('wrong usage', () => {
  // Two as a process of their own: an error of the program, and one of a command.
  const inChildren = wrong.slice(1, 3);

  it.each([
    ...wrong.map((mistake) => [...mistake, callCli] as const),
    ...inChildren.map((mistake) => [...mistake, runCli] as const),
  ])('%s', async (args, message, call) => {
    const { exitCode, stdout, stderr } = await call(args.split(' ').filter((word) => word !== ''));
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(exitCode).toBe(2);
    expect(stdout).toBe('');
  });
});

it.each([
  ['simulate --drafter self --draft-layers 40', 'invalid --draft-layers: 40; llama-3.1-8b has 32 layers'],
  ['simulate --strategy apex --device-memory 9GB --pinned-layers 32', 'lower --pinned-layers: the smallest'],
  [
    'simulate --strategy apex --device-memory 9GB',
    'all 32 layers are to stay on the device; raise it, or set --pinned-layers to fewer',
  ],
  [
    'simulate --strategy serial --draft qwen3-0.6b',
    'target llama-3.1-8b and draft qwen3-0.6b have vocabularies',
  ],
  ['plan --workload code --acceptance 0.8', 'a model of the catalogue has none'],
])('%s: the engine refuses by flags and names', async (args, message) => {
  const { exitCode, stderr } = await callCli([
    ...args.split(' '),
    '--target',
    'llama-3.1-8b',
    '--prompts',
    '1',
  ]);
  expect(stderr).toContain(message);
  expect(exitCode).toBe(1);
});

describe('help', () => {
  it.each(['start', 'run', 'model inspect', 'model inflate', 'model logits', 'bench', 'tunnel'])(
    '%s --help ends with an example',
    async (command) => {
      const { exitCode, stdout } = await callCli([...command.split(' '), '--help']);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`Example:\n  specoffload ${command}`);
    },
  );
});
