/**
 * What a task costs the processor, all threads and the system together, and what a run does beside its tasks: from short
 * runs of a model whose arithmetic takes next to nothing.
 */

import { type Checkpoint, createRandom, largest, type RunRequest, runEngine } from '@specoffload/engine';
import { median } from 'simple-statistics';
import { localSettings } from '../inputs/caps.js';
import { formatTable } from '../terminal/table.js';
import type { BenchOptions } from './main.js';
import { makeRandomModel } from './random-model.js';

const config = {
  ...{ model_type: 'mixtral', vocab_size: 256, hidden_size: 64, num_hidden_layers: 4, head_dim: 16 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 64, eos_token_id: 0 },
  ...{ num_local_experts: 4, num_experts_per_tok: 2, max_position_embeddings: 256, rms_norm_eps: 1e-5 },
};

/** New tokens of the runs that are compared: what more tokens cost more, more tasks do. */
const lengths = [1, 12];
const runsEach = 20;

/** Of one length in one round, on average. */
interface Runs {
  readonly tasks: number;
  readonly processorSeconds: number;
}

interface Round {
  readonly secondsPerTask: number;
  readonly secondsPerRun: number;
}

export async function benchTasks({ quick, output, signal }: BenchOptions): Promise<void> {
  await makeRandomModel(config, async (target) => {
    for (const length of lengths) await run(target, length, signal); // threads start, code is compiled
    await run(target, largest(lengths), signal);
    const rounds: Round[] = [];
    for (let round = 0; round < (quick ? 1 : 7); round += 1) {
      output.note(`bench: ${lengths.length * runsEach} runs, round ${round + 1}`);
      const [short, long] = [await run(target, lengths[0], signal), await run(target, lengths[1], signal)];
      const secondsPerTask = (long.processorSeconds - short.processorSeconds) / (long.tasks - short.tasks);
      const secondsPerRun = short.processorSeconds - secondsPerTask * short.tasks;
      rounds.push({ secondsPerTask, secondsPerRun });
    }
    const middle = {
      secondsPerTask: middleOf(rounds, 'secondsPerTask'),
      secondsPerRun: middleOf(rounds, 'secondsPerRun'),
    };
    output.say('time of the processor, all threads and the system together');
    output.say(
      formatTable<readonly [string, Round]>(
        [
          { title: 'round', align: 'left', text: ([name]) => name },
          { title: 'a task', text: ([, { secondsPerTask }]) => `${(1e6 * secondsPerTask).toFixed(0)} µs` },
          {
            title: 'a run besides',
            text: ([, { secondsPerRun }]) => `${(1e3 * secondsPerRun).toFixed(1)} ms`,
          },
        ],
        [...rounds.map((round, index) => [String(index + 1), round] as const), ['median', middle]],
      ),
    );
    output.document({ rounds, ...middle });
  });
}

function middleOf(rounds: readonly Round[], field: keyof Round): number {
  return median(rounds.map((round) => round[field]));
}

/** Weights stream, so that a pass has tasks of every lane. */
async function run(target: Checkpoint, maxNewTokens: number, signal: AbortSignal): Promise<Runs> {
  const random = createRandom(1, 'prompts');
  const prompt = () => Array.from({ length: 4 }, () => random.uint32() % config.vocab_size);
  const request: RunRequest = {
    ...{ target, draft: null, strategy: 'none', maxNewTokens, stopAtEos: false, signal },
    policy: { pinnedLayers: 0, keptLayers: 0 },
    prompts: [prompt(), prompt()],
    machine: localSettings({ deviceBytes: 16e6, hostBytes: 16e6 }),
  };
  let tasks = 0;
  const before = process.cpuUsage();
  for (let index = 0; index < runsEach; index += 1) tasks += (await runEngine(request)).spans.length;
  const { user, system } = process.cpuUsage(before);
  return { tasks: tasks / runsEach, processorSeconds: (user + system) / 1e6 / runsEach };
}
