/** A process that writes with llama.cpp: `llama-cpp-child.js REQUEST`, a JSON file's path; prints a `PeerLine` a step. */

import { readFileSync } from 'node:fs';
import { largest } from '@specoffload/engine';
import type { PeerLine, PeerRequest } from './peer.js';

/** What of node-llama-cpp is used. */
interface Sequence {
  evaluate(
    tokens: readonly number[],
    options: { readonly temperature: number; readonly yieldEogToken: true },
  ): AsyncIterable<number>;
}
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{
      createContext(options: object): Promise<{ getSequence(): Sequence }>;
    }>;
  }>;
}

const { modulePath, model, prompts, newTokens, threads } = JSON.parse(
  readFileSync(process.argv[2], 'utf8'),
) as PeerRequest;
const { getLlama } = (await import(modulePath)) as NodeLlamaCpp;
const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error' });
const loaded = await llama.loadModel({ modelPath: model });
const promptTokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
const context = await loaded.createContext({
  ...{ sequences: prompts.length, threads, batchSize: promptTokens },
  contextSize: largest(prompts.map((prompt) => prompt.length)) + newTokens,
});
const sequences = prompts.map(() => context.getSequence());

say({ newTokens: 0 });
const start = performance.now();
/** When each text had its first token. */
const firsts: number[] = [];
let numWritten = 0;
const tokens = await Promise.all(
  sequences.map(async (sequence, index) => {
    const text: number[] = [];
    for await (const token of sequence.evaluate(prompts[index], { temperature: 0, yieldEogToken: true })) {
      if (text.length === 0) firsts.push(performance.now());
      text.push(token);
      numWritten += 1;
      if (numWritten % prompts.length === 0) say({ newTokens: numWritten, ...maybePrefillSeconds() });
      if (text.length === newTokens) break;
    }
    return text;
  }),
);
const seconds = (performance.now() - start) / 1000;
const { prefillSeconds = seconds } = maybePrefillSeconds();
say({ prefillSeconds, decodeSeconds: seconds - prefillSeconds, tokens }, () => process.exit(0));

/** Once every text has its first token. */
function maybePrefillSeconds(): { readonly prefillSeconds?: number } {
  return firsts.length === prompts.length ? { prefillSeconds: (largest(firsts) - start) / 1000 } : {};
}

function say(line: PeerLine, then: () => void = () => {}): void {
  process.stdout.write(`${JSON.stringify(line)}\n`, then);
}
