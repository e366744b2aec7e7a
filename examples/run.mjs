// Runs the shipped pair for real, its weights streamed under a memory budget, and prints what it wrote.

import { join } from 'node:path';
import { loadTokenizer, openCheckpoint, runEngine } from '@specoffload/engine';

const pair = join(import.meta.dirname, '..', 'experiments', 'pair');
const [target, draft] = await Promise.all(
  ['target', 'draft'].map((name) => openCheckpoint(join(pair, name))),
);
const tokenizer = await loadTokenizer(join(pair, 'target'));

const result = await runEngine({
  ...{ target, draft, strategy: 'serial', policy: { candidates: 4 } },
  prompts: [tokenizer.encode('def add(a, b):\n')],
  maxNewTokens: 16,
  machine: { deviceBytes: 128e6, hostBytes: 64e6 },
});

console.log(tokenizer.decode(result.sequences[0].ids));
console.log(
  `${result.newTokens} tokens in ${result.passes} passes, ${result.tokensPerSecond.toFixed(1)} tokens/s`,
);
