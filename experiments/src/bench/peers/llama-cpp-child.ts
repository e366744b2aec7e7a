/** A process that writes with llama.cpp: `llama-cpp-child.js REQUEST`, a JSON file's path; prints one line of JSON. */

import { readFileSync } from 'node:fs';
import { largest } from '@specoffload/engine';
import type { PeerRequest, PeerTimes } from './peer.js';

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

const start = performance.now();
/** When each text had its first token. */
const firsts: number[] = [];
const written = await Promise.all(
  sequences.map(async (sequence, index) => {
    const tokens: number[] = [];
    for await (const token of sequence.evaluate(prompts[index], { temperature: 0, yieldEogToken: true })) {
      if (tokens.length === 0) firsts.push(performance.now());
      tokens.push(token);
      if (tokens.length === newTokens) break;
    }
    return tokens;
  }),
);
const end = performance.now();
const prefilled = largest(firsts);
const times: PeerTimes = {
  prefillSeconds: (prefilled - start) / 1000,
  decodeSeconds: (end - prefilled) / 1000,
  tokens: written,
};
process.stdout.write(`${JSON.stringify(times)}\n`, () => process.exit(0));
