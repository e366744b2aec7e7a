/** What storing a model in Q4_K brings where the disk binds: bytes moved, and throughput, beside the same in bf16. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  describeModel,
  openCheckpoint,
  parseModelSpec,
  type RunResult,
} from '@specoffload/engine';
import { makeTemporaryFolder } from '@specoffload/input';
import { codecs, plainCodecs } from '@specoffload/native';
import { localSettings } from '../inputs/caps.js';
import { type Job, runPlan } from '../job/execute.js';
import { specOfRun } from '../store/index.js';
import { formatBytes, formatRate, formatSeconds } from '../terminal/format.js';
import { formatTable } from '../terminal/table.js';
import { countOf, type GgufDtype, type GgufTensor, writeGguf } from './gguf-file.js';
import type { BenchOptions } from './main.js';

/** One of the two, in one round. */
export interface StoredRun {
  readonly dtype: 'bf16' | 'q4_k';
  readonly round: number;
  readonly diskBytes: number;
  readonly linkBytes: number;
  readonly decodeSeconds: number;
  readonly prefillSeconds: number;
}

/** Llama-like, of whole blocks everywhere: 147 MB in bf16. */
const config = {
  ...{
    model_type: 'llama',
    vocab_size: 1024,
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 6,
  },
  ...{ num_attention_heads: 16, num_key_value_heads: 4, head_dim: 64, max_position_embeddings: 256 },
  ...{ tie_word_embeddings: true, eos_token_id: 0 },
};

/** So slow that the disk binds in bf16, whatever else the machine does. */
const diskBytesPerSecond = 1e8;
const wanted = { bytes: 0.285, throughput: 2.5 };

export async function benchQ4K({ quick, output, signal }: BenchOptions): Promise<void> {
  const folder = await makeTemporaryFolder('q4k');
  try {
    const jobs = new Map<StoredRun['dtype'], Job>();
    for (const dtype of ['bf16', 'q4_k'] as const) jobs.set(dtype, jobOf(await makeModel(folder, dtype)));
    const runs: StoredRun[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round += 1)
      for (const [dtype, job] of jobs) {
        output.note(`bench: ${dtype}, round ${round + 1}`);
        runs.push({ dtype, round, ...figuresOf(await runPlan(job, signal)) });
      }
    output.say(
      `\nthe disk paced to ${formatRate(diskBytesPerSecond)}, nothing kept in memory, strategy none`,
    );
    output.say(
      formatTable<StoredRun>(
        [
          { title: 'stored as', align: 'left', text: ({ dtype }) => dtype },
          { title: 'round', text: ({ round }) => String(round + 1) },
          { title: 'disk', text: ({ diskBytes }) => formatBytes(diskBytes) },
          { title: 'link', text: ({ linkBytes }) => formatBytes(linkBytes) },
          { title: 'prefill', text: ({ prefillSeconds }) => formatSeconds(prefillSeconds) },
          { title: 'decode', text: ({ decodeSeconds }) => formatSeconds(decodeSeconds) },
        ],
        runs,
      ),
    );
    for (const verdict of verdicts(runs)) output.say(verdict);
    const specs = Object.fromEntries([...jobs].map(([dtype, job]) => [dtype, specOfRun(job)]));
    output.document({ specs, runs });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function figuresOf({ bytesMoved, phases }: RunResult): Omit<StoredRun, 'dtype' | 'round'> {
  return {
    ...{ diskBytes: bytesMoved.disk, linkBytes: bytesMoved.link },
    ...{ prefillSeconds: phases.prefill.seconds, decodeSeconds: phases.decode.seconds },
  };
}

export function verdicts(runs: readonly StoredRun[]): string[] {
  const ratios = (of: (run: StoredRun) => number) =>
    runs
      .filter(({ dtype }) => dtype === 'q4_k')
      .map((stored) => {
        const plain = runs.find(
          ({ dtype, round }) => dtype === 'bf16' && round === stored.round,
        ) as StoredRun;
        return of(stored) / of(plain);
      })
      .sort((a, b) => a - b);
  const median = (values: readonly number[]) => values[values.length >> 1];
  const [disk, link] = [
    median(ratios(({ diskBytes }) => diskBytes)),
    median(ratios(({ linkBytes }) => linkBytes)),
  ];
  const faster = 1 / median(ratios(({ decodeSeconds }) => decodeSeconds));
  const word = (isReached: boolean) => (isReached ? 'reached' : 'not reached');
  return [
    `${word(Math.max(disk, link) <= wanted.bytes)}: Q4_K moves ${disk.toFixed(3)} of bf16's bytes from disk and ${link.toFixed(3)} over the link, wanted 0.28`,
    `${word(faster >= wanted.throughput)}: Q4_K decodes ${faster.toFixed(2)} times as fast where the disk binds, wanted ${wanted.throughput}`,
  ];
}

function jobOf(target: Checkpoint): Job {
  const random = createRandom(0, 'prompts');
  const prompt = () => Array.from({ length: 16 }, () => random.uint32() % config.vocab_size);
  return {
    ...{ target, draft: null, tokenizer: null, strategy: 'none', maxNewTokens: 6, stopAtEos: false },
    // Little is read ahead, so that what is read for a pass that never comes is not much of it.
    policy: { pinnedLayers: 0, keptLayers: 0, prefetchDepth: 3 },
    workload: { name: 'made', prompts: Array.from({ length: 4 }, prompt) },
    machine: localSettings({ ...{ deviceBytes: 3e8, hostBytes: 2e8 }, caps: { diskBytesPerSecond } }),
  };
}

async function makeModel(folder: string, dtype: GgufDtype): Promise<Checkpoint> {
  const path = join(folder, `${dtype}.gguf`);
  const spec = parseModelSpec(config, 'a made model');
  const described = describeModel({ name: dtype, spec, unit: 'expert' });
  await writeGguf(described, path, { dtype, read: makeWeights });
  return openCheckpoint(path);
}

/** Norms of ones; matrices of small numbers around 0, a few thousand over and over. */
async function makeWeights(tensor: GgufTensor, dtype: GgufDtype): Promise<Uint8Array> {
  const count = countOf(tensor);
  if (dtype === 'f32') return new Uint8Array(new Float32Array(count).fill(1).buffer);
  const bytes = new Uint8Array(codecs[dtype].bytes(count));
  const piece = dtype === 'q4_k' ? makeBlocks(64) : plainCodecs.bf16.encode(makeValues(4096));
  for (let at = 0; at < bytes.length; at += piece.length)
    bytes.set(piece.subarray(0, Math.min(piece.length, bytes.length - at)), at);
  return bytes;
}

function makeValues(count: number): Float32Array {
  const random = createRandom(1, 'weights');
  return Float32Array.from({ length: count }, () => 0.03 * random.normal());
}

/** Any groups and numbers, under scales that put their mean near 0. */
function makeBlocks(count: number): Uint8Array {
  const random = createRandom(1, 'blocks');
  const blockBytes = codecs.q4_k.bytes(codecs.q4_k.blockElements);
  const scales = plainCodecs.f16.encode(Float32Array.of(1e-4, 7.5e-4));
  const blocks = Uint8Array.from({ length: count * blockBytes }, () => random.uint32() >>> 24);
  for (let at = 0; at < blocks.length; at += blockBytes) blocks.set(scales, at);
  return blocks;
}
