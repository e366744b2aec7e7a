/**
 * A model of many small experts that streams from a paced disk, at several batch sizes: what a decoding pass takes, beside
 * what the expert union predicts (N (1 - (1 - k/N)^m) of each layer) and what its recorded routing does.
 */

import { statfs } from 'node:fs/promises';
import {
  type Checkpoint,
  createRandom,
  type MachineModel,
  parseMachineModel,
  type RunOutcome,
  type RunResult,
  simulateRun,
} from '@specoffload/engine';
import { localSettings } from '../inputs/caps.js';
import { type Job, runPlan, toPrediction } from '../job/execute.js';
import { buildMachineFile } from '../profile/machine-file.js';
import { describeSample } from '../statistics/index.js';
import { specOfRun } from '../store/index.js';
import { formatRate } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';
import { formatTable } from '../terminal/table.js';
import type { BenchOptions } from './main.js';
import { makeRandomModel } from './random-model.js';

/** As Qwen3-30B-A3B has its experts, each of 393 kB: 3.2 MB of a layer's 50 MB are read for one row. */
const config = {
  ...{ model_type: 'qwen3_moe', vocab_size: 1024, hidden_size: 256, num_hidden_layers: 4, head_dim: 64 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 256, eos_token_id: 0 },
  ...{ num_experts: 128, num_experts_per_tok: 8, moe_intermediate_size: 256, norm_topk_prob: true },
  ...{ max_position_embeddings: 256 },
};

/** So slow that the disk binds at any batch, whatever else the machine does. */
const diskBytesPerSecond = 3e7;
const promptTokens = 8;
const maxNewTokens = 5;
const decodePasses = maxNewTokens - 1;
const batches = [1, 2, 4, 8, 16, 32];
const profileBatches = [1, 3, 12];

/** Of a decoding pass. */
interface Prediction {
  readonly seconds: number;
  readonly diskBytes: number;
}

export interface BatchResult {
  readonly batch: number;
  /** Experts that a layer's rows chose in a pass, on average: as recorded. */
  readonly touched: number;
  readonly formula: number;
  /** Seconds of a decoding pass, by round. */
  readonly measured: readonly number[];
  readonly byUnion: Prediction;
  readonly byRouting: Prediction;
  /** Read from disk in a decoding pass, as measured. */
  readonly diskBytes: number;
  /** Of the disk in decode. */
  readonly diskShare: number;
}

export async function benchFineGrained({ quick, output, signal }: BenchOptions): Promise<void> {
  const layers = quick ? 2 : config.num_hidden_layers;
  const model = { ...config, num_hidden_layers: layers };
  await makeRandomModel(model, async (target) => {
    const machine = await profile(target, output, signal);
    const rounds: RunResult[][] = [];
    for (let round = 0; round < (quick ? 1 : 5); round += 1) {
      output.note(`bench: ${batches.join(', ')} sequences, round ${round + 1}`);
      const runs: RunResult[] = [];
      for (const batch of batches) runs.push(await runPlan(jobOf(target, batch), signal));
      rounds.push(runs);
    }
    const results: BatchResult[] = [];
    for (const [index, batch] of batches.entries())
      results.push(
        await compareBatch(
          jobOf(target, batch),
          rounds.map((runs) => runs[index]),
          machine,
        ),
      );
    say(results, target, output);
    output.document({
      specs: batches.map((batch) => specOfRun(jobOf(target, batch))),
      ...{ diskBytesPerSecond, bytes: target.bytes, results },
    });
  });
}

/** Nothing is kept, so that every expert that is chosen is read. Other prompts than the profile's. */
function jobOf(target: Checkpoint, batch: number, seed = 1): Job {
  const random = createRandom(seed, `prompts ${batch}`);
  const prompt = () => Array.from({ length: promptTokens }, () => random.uint32() % config.vocab_size);
  return {
    ...{ target, draft: null, tokenizer: null, strategy: 'none', maxNewTokens, stopAtEos: false },
    policy: { experts: 'routed', pinnedLayers: 0, keptLayers: 0 },
    workload: { name: 'made', prompts: Array.from({ length: batch }, prompt) },
    machine: localSettings({ deviceBytes: 8e7, hostBytes: 8e7, caps: { diskBytesPerSecond } }),
  };
}

/** This machine with this model, by short runs of their own. */
async function profile(target: Checkpoint, output: Output, signal: AbortSignal): Promise<MachineModel> {
  const jobs = profileBatches.map((batch) => jobOf(target, batch, 2));
  const runs: RunResult[] = [];
  for (const job of jobs) {
    output.note(`bench: a profile with ${job.workload.prompts.length} sequences`);
    runs.push(await runPlan(job, signal));
  }
  const { blocks, bsize } = await statfs(target.directory);
  const measured = {
    ...{ name: 'local', description: `measured with ${target.name}`, settings: jobs[0].machine },
    ...{ diskBytes: blocks * bsize, specs: jobs.map(specOfRun), draftElements: 0 },
  };
  return parseMachineModel(buildMachineFile(measured, runs), 'the profile');
}

async function compareBatch(
  job: Job,
  runs: readonly RunResult[],
  machine: MachineModel,
): Promise<BatchResult> {
  const request = toPrediction(job, machine, null);
  const routing = runs[0].routing;
  const byUnion = await simulateRun(request);
  const byRouting = await simulateRun({ ...request, routing });
  const { num_experts: all, num_experts_per_tok: perToken } = config;
  const batch = job.workload.prompts.length;
  const { layers } = job.target.spec;
  return {
    batch,
    touched: (routing?.distinctPerPass ?? []).reduce((sum, each) => sum + each, 0) / layers.length,
    formula: all * (1 - (1 - perToken / all) ** batch),
    measured: runs.map(({ phases }) => phases.decode.seconds / decodePasses),
    ...{ byUnion: passOf(byUnion), byRouting: passOf(byRouting), diskBytes: passOf(runs[0]).diskBytes },
    diskShare: runs[0].phases.decode.lanes.disk.utilization,
  };
}

function passOf({ phases: { decode } }: RunOutcome): Prediction {
  return { seconds: decode.seconds / decodePasses, diskBytes: decode.lanes.disk.bytes / decodePasses };
}

function say(results: readonly BatchResult[], target: Checkpoint, output: Output): void {
  output.say(
    `\n${target.spec.layers.length} layers of ${config.num_experts} experts, ${config.num_experts_per_tok} a token, ` +
      `the disk paced to ${formatRate(diskBytesPerSecond)}, nothing kept; a decoding pass`,
  );
  const beside = ({ seconds }: Prediction, { measured }: BatchResult) =>
    `${seconds.toFixed(3)} s (${(seconds / describeSample(measured).median).toFixed(2)})`;
  const bytesBeside = (of: (result: BatchResult) => Prediction) => (result: BatchResult) =>
    (of(result).diskBytes / result.diskBytes).toFixed(2);
  output.say(
    formatTable<BatchResult>(
      [
        { title: 'sequences', text: ({ batch }) => String(batch) },
        { title: 'experts a layer', text: ({ touched }) => touched.toFixed(1) },
        { title: 'by formula', text: ({ formula }) => formula.toFixed(1) },
        { title: 'measured', text: ({ measured }) => withInterval(measured) },
        { title: 'by expert union', text: (result) => beside(result.byUnion, result) },
        { title: 'its bytes', text: bytesBeside(({ byUnion }) => byUnion) },
        { title: 'by recorded routing', text: (result) => beside(result.byRouting, result) },
        { title: 'its bytes', text: bytesBeside(({ byRouting }) => byRouting) },
        { title: 'disk busy', text: ({ diskShare }) => `${(100 * diskShare).toFixed(0)} %` },
      ],
      results,
    ),
  );
}

/** The median, and where it lies with 95 %. */
function withInterval(seconds: readonly number[]): string {
  const { median, low, high } = describeSample(seconds);
  const interval = low === null || high === null ? '' : ` (${low.toFixed(3)} to ${high.toFixed(3)})`;
  return `${median.toFixed(3)} s${interval}`;
}
