import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRate, catalogSpec, countHeads, flattenMachine } from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openMachine } from '../../../experiments/src/inputs/machines.js';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { findAnomalies } from '../../../experiments/src/reproduce/anomalies.js';
import { fitConstants } from '../../../experiments/src/reproduce/calibrate.js';
import {
  type Calibration,
  parseCalibration,
  readCalibration,
} from '../../../experiments/src/reproduce/calibration-file.js';
import { constantNames, definitionOf } from '../../../experiments/src/reproduce/constants.js';
import { heldOutTests, isLeftOut } from '../../../experiments/src/reproduce/held-out.js';
import { observe, questionOf } from '../../../experiments/src/reproduce/observations.js';
import { Estimator, estimate, predict, touching } from '../../../experiments/src/reproduce/predict.js';
import type { Question } from '../../../experiments/src/reproduce/question.js';
import {
  type Bar,
  type ModelName,
  type Reference,
  readReference,
} from '../../../experiments/src/reproduce/reference.js';
import { reproduce } from '../../../experiments/src/reproduce/reproduction.js';
import { createMachine, toRequest } from '../../../experiments/src/reproduce/systems.js';
import { toMarkdown, toSections } from '../../../experiments/src/reproduce/tables.js';
import { readPublishedRuns } from '../../../experiments/src/sweep/experiments/published.js';

const paper = join(projectDirectory, 'results', 'paper');

let reference: Reference;
let calibration: Calibration;
let directory: string;

beforeAll(async () => {
  reference = await readReference(paper);
  calibration = await readCalibration();
  directory = await mkdtemp(join(tmpdir(), 'reproduce-'));
});

afterAll(() => rm(directory, { recursive: true }));

const quick = (part: Reference) =>
  reproduce({
    ...{ reference: part, calibration, isQuick: true },
    onPrediction: async () => {},
    onProgress: () => {},
  });

/** With the memory curve's ends, which say what FlexGen keeps on the GPU. */
function only(bars: readonly Bar[]): Reference {
  const memory = reference.memory.filter(({ gpuMemoryGB }) =>
    [4.2, 22.68, 7.16, 20.66].includes(gpuMemoryGB),
  );
  return { ...reference, bars, memory, ablation: [], utilization: [] };
}

describe('the reference', () => {
  const valid = {
    ...{ model: 'Mixtral 8x7B', environment: 'env1', dataset: 'SAMSum', generationLength: 16 },
    ...{ system: 'FlexGen', tokensPerSecond: 3 },
  };
  const cases: [string, unknown, RegExp][] = [
    [
      'throughput.json',
      { bars: [] },
      /throughput\.json: invalid content: {"bars":\[\]}; expected a list of objects/,
    ],
    ['throughput.json', [valid, 7], /entry 2: invalid entry: 7; expected an object/],
    [
      'throughput.json',
      [{ ...valid, system: 'vLLM' }],
      /entry 1: invalid system: "vLLM"; expected Accelerate, /,
    ],
    ['throughput.json', [{ ...valid, model: 'GPT-2' }], /invalid model: "GPT-2"; expected Mixtral 8x7B, /],
    ['throughput.json', [{ ...valid, dataset: null }], /invalid dataset: null; expected HumanEval, /],
    [
      'throughput.json',
      [{ ...valid, environment: 'env3' }],
      /invalid environment: "env3"; expected env1 or env2/,
    ],
    [
      'throughput.json',
      [{ ...valid, generationLength: 1.5 }],
      /invalid generationLength: 1\.5; expected a whole/,
    ],
    [
      'throughput.json',
      [{ ...valid, tokensPerSecond: 0 }],
      /invalid tokensPerSecond: 0; expected a number above 0/,
    ],
    [
      'ablation.json',
      [{ ...valid, variant: 'no luck' }],
      /invalid variant: "no luck"; expected all optimisations, /,
    ],
    [
      'policies.json',
      [{ ...valid, system: 'SpecOffload' }],
      /invalid decodeBatch: missing; expected a whole/,
    ],
    ['gpu-memory.json', [valid], /invalid gpuMemoryGB: missing; expected a number above 0/],
  ];

  test.each(cases)('%s refuses %j', async (name, content, message) => {
    const broken = await mkdtemp(join(directory, 'reference-'));
    await cp(paper, broken, { recursive: true });
    await writeFile(join(broken, name), JSON.stringify(content));
    await expect(readReference(broken)).rejects.toThrow(message);
  });

  test('names the files that a folder without them should have', async () => {
    await expect(readReference(directory)).rejects.toThrow(
      /there is no .*throughput\.json; --reference wants/,
    );
  });

  test('says which batch is not listed', async () => {
    const [bar] = reference.bars;
    const policies = reference.policies.filter(({ system }) => system !== bar!.system);
    await expect(
      predict(questionOf(bar!), { ...reference, policies }, calibration.constants),
    ).rejects.toThrow(/policies\.json lists no batch for Accelerate, Mixtral 8x7B, HumanEval/);
  });
});

describe('the machines', () => {
  test.each([
    ['env1', [9e9, 13e9]],
    ['env2', [18e9, 26e9]],
  ] as const)('%s is the calibrated one, inside physical bounds', async (name, [least, most]) => {
    const opened = await openMachine(name);
    expect(opened).toEqual(createMachine(name, calibration.constants));
    const machine = flattenMachine(opened);
    expect(machine.link.bytesPerSecond).toBeGreaterThanOrEqual(least);
    expect(machine.link.bytesPerSecond).toBeLessThanOrEqual(most);
    expect(machine.link.pageableBytesPerSecond).toBeLessThanOrEqual(machine.link.bytesPerSecond);
    expect(machine.device.arithmetic.at(-1)![1]).toBeLessThanOrEqual(165e12);
    expect(machine.device.memoryBytesPerSecond).toBe(1008e9);
  });

  test('share what is the software, and differ in what is the machine', async () => {
    const [env1, env2] = [
      flattenMachine(await openMachine('env1')),
      flattenMachine(await openMachine('env2')),
    ];
    for (const lane of ['link', 'host', 'device'] as const)
      expect(env1[lane].cacheTraffic).toEqual(env2[lane].cacheTraffic);
    expect(env1.host.cacheTraffic).toEqual({ fixed: 3, perHead: 2 });
    expect(env1.host.memoryBytesPerSecond).toBe(env2.host.memoryBytesPerSecond);
    expect(env1.disk).toEqual(env2.disk);
    // No AVX-512, no kernels for bf16.
    expect(env2.host.arithmetic[0][1]).toBeLessThan(env1.host.arithmetic[0][1] / 2);
    expect(env2.host.cacheBytesPerSecond).toBeLessThan(env1.host.cacheBytesPerSecond);
  });

  test('copy the cache of a model without released code as often as 8x7B, in sweeps, too', async () => {
    const question: Omit<Question, 'model'> = {
      ...({ system: 'SpecOffload', dataset: 'HumanEval' } as const),
      ...({ environment: 'env1', generationLength: 16 } as const),
    };
    const machineOf = (model: ModelName) =>
      flattenMachine(toRequest({ ...question, model }, reference, calibration.constants).machine);
    const heads = (name: string) => countHeads(catalogSpec(name));
    const [llama, mixtral] = [machineOf('LLaMA-3.3-70B'), machineOf('Mixtral 8x7B')];
    for (const lane of ['link', 'host', 'device'] as const)
      expect(cacheRate(llama[lane], heads('llama-3.3-70b'))).toBeCloseTo(
        cacheRate(mixtral[lane], heads('mixtral-8x7b')),
        0,
      );
    const settings = (await readPublishedRuns())({ ...question, model: 'LLaMA-3.3-70B' });
    expect(settings['machine.host.cacheBytesPerSecond']).toBe(llama.host.cacheBytesPerSecond);
  });

  test('a calibration outside its bounds is refused', async () => {
    const path = join(projectDirectory, 'experiments', 'machines', 'calibration', 'paper.json');
    const json = JSON.parse(await readFile(path, 'utf8')) as { constants: Record<string, { value: number }> };
    json.constants.deviceFlops!.value = 330e12;
    expect(() => parseCalibration(json, 'here')).toThrow(
      /here: constants: invalid deviceFlops: 330000000000000/,
    );
  });

  test('the calibration holds constants for every held-out test of the given bars', () => {
    expect(calibration.heldOut.map(({ left }) => left)).toEqual(
      heldOutTests(
        reference.bars.filter(({ generationLength }) => calibration.seenLengths.includes(generationLength)),
      ),
    );
  });
});

describe('predictions', () => {
  const isFast = ({ dataset, generationLength }: Bar) => dataset === 'HumanEval' && generationLength === 16;

  let fast: ReturnType<typeof quick> | null = null;
  /** Of a fast subset: made once. */
  const reproduceFast = () => {
    fast ??= quick(only(reference.bars.filter(isFast)));
    return fast;
  };

  test('name the winners and meet the bars of a fast subset', async () => {
    const { winners, bars, meanError } = await reproduceFast();
    expect(bars).toHaveLength(14);
    expect(winners).toEqual({ groups: 3, wrong: [] });
    expect(meanError).toBeLessThan(0.15);
  });

  test('take lengths and ablations that are added to the reference', async () => {
    const bars = reference.bars
      .filter(isFast)
      .filter(({ system }) => system === 'SpecOffload' || system === 'FlexGen');
    const added = bars.map((bar) => ({ ...bar, generationLength: 64 }));
    const ablation = reference.ablation.map(
      (bar) => ({ ...bar, model: 'Mixtral 8x22B', environment: 'env2', tokensPerSecond: 3 }) as const,
    );
    const found = await quick({ ...only([...bars, ...added]), ablation });
    expect(found.unseen?.numBars).toBe(added.length);
    expect(found.winners.groups).toBe(6);
    expect(found.ablation.map(({ predicted }) => predicted > 0.5 && predicted < 10)).toEqual([
      true,
      true,
      true,
      true,
    ]);
    const [whole, ...parts] = found.ablation;
    for (const part of parts) expect(part.predicted).toBeLessThan(whole!.predicted);
    expect(toMarkdown(toSections(found))).toContain('of lengths that the fit has not seen');
  });

  test('of 8x22B are far slower where half of it comes from the disk than where it stays in memory', async () => {
    const { diskRuns, ...rest } = await reproduceFast();
    expect(diskRuns.map(({ dataset }) => dataset)).toEqual(['HumanEval', 'C-Eval', 'SummEval', 'SAMSum']);
    for (const { inMemory, fromDisk, direct, diskLayers } of diskRuns) {
      expect(fromDisk).toBeLessThan(0.7 * inMemory);
      expect(direct).toBeGreaterThan(1.5 * fromDisk);
      expect(diskLayers).toBe(28);
    }
    const report = toMarkdown(toSections({ ...rest, diskRuns }));
    expect(report).toContain('28 of 56');
    expect(report).toContain('a cache that is too small for all of them has dropped each');
  });

  test('are explained: every constant has a cause and a limit in the report', async () => {
    const report = toMarkdown(toSections(await reproduceFast()));
    for (const name of constantNames) {
      const { cause, limit } = definitionOf(name);
      expect(report).toContain(`- ${name}: ${cause} (${limit})`);
    }
  });

  test('are the same every time, and do not depend on what was published', async () => {
    const bar = reference.bars.find(
      ({ system, model }) => system === 'SpecOffload' && model === 'Mixtral 8x22B',
    )!;
    const once = await predict(questionOf(bar), reference, calibration.constants);
    const again = await predict(questionOf({ ...bar, tokensPerSecond: 1 }), reference, calibration.constants);
    expect(again.tokensPerSecond).toBe(once.tokensPerSecond);
    expect(again.result.spans).toEqual(once.result.spans);
  });

  test('of shortened runs agree with whole ones', async () => {
    const question = {
      ...questionOf(reference.bars.find(({ system }) => system === 'DeepSpeed')!),
      generationLength: 24,
    };
    const whole = await predict(question, reference, calibration.constants);
    const short = await estimate(question, reference, calibration.constants);
    expect(short.tokensPerSecond / whole.tokensPerSecond).toBeCloseTo(1, 2);
  });

  test('depend on no constant but those that are said to touch them', async () => {
    for (const bar of reference.bars.filter((one) => isFast(one) && one.model !== 'Mixtral 8x7B')) {
      const question = { ...questionOf(bar), generationLength: 4 };
      const { tokensPerSecond } = await estimate(question, reference, calibration.constants);
      const touched = touching(question);
      const constants = { ...calibration.constants };
      for (const name of constantNames)
        if (!touched.includes(name)) {
          const [least, most] = definitionOf(name).bounds;
          constants[name] =
            constants[name] > (least + most) / 2 ? constants[name] * 0.9 : constants[name] * 1.1;
        }
      expect((await estimate(question, reference, constants)).tokensPerSecond).toBe(tokensPerSecond);
    }
  });
});

test('a fit finds the constant that bars were made with', async () => {
  const questions = reference.bars
    .filter(
      ({ system, dataset, model }) =>
        system === 'Accelerate' && dataset === 'HumanEval' && model === 'Mixtral 8x7B',
    )
    .map(questionOf);
  const made = { ...calibration.constants, pageableLink1: 6e9 };
  const estimator = new Estimator(reference);
  const bars: Bar[] = [];
  for (const question of questions) {
    const { tokensPerSecond } = await estimator.estimate(question, made);
    bars.push({ ...question, tokensPerSecond } as Bar);
  }
  const { constants, objective } = await fitConstants({
    ...{ start: calibration.constants, estimator, moves: 4 },
    observations: observe({ ...only(bars), memory: [] }),
  });
  expect(objective).toBeLessThan(0.02);
  expect(constants.pageableLink1 / 6e9).toBeCloseTo(1, 1);
});

test('a held-out test leaves out every figure of its dataset or length', () => {
  const left = { dataset: 'SummEval' } as const;
  const seen = observe(reference).filter((observation) => !isLeftOut(left, observation));
  expect(seen.flatMap(({ questions }) => questions).filter(({ dataset }) => dataset === 'SummEval')).toEqual(
    [],
  );
});

test('oddities are found in the bars alone', () => {
  const series = (system: Bar['system'], rates: readonly number[]): Bar[] =>
    rates.map((tokensPerSecond, index) => ({
      ...{ system, model: 'Mixtral 8x7B', environment: 'env1', dataset: 'SAMSum' },
      ...{ generationLength: 16 * 2 ** index, tokensPerSecond },
    }));
  const policies = [{ system: 'DeepSpeed', model: 'Mixtral 8x7B', dataset: 'SAMSum', batch: 10 }] as const;
  const bars = [
    ...series('Accelerate', [4, 5, 6]),
    ...series('Fiddler', [4.01, 5.01, 6.01]),
    ...series('SpecOffload', [20, 25, 21]),
    ...series('DeepSpeed', [6, 5, 4]),
  ];
  const found = findAnomalies(bars, policies);
  expect(found.map((text) => text.split(':')[0])).toEqual([
    'same numbers twice',
    'neither rising nor falling with length',
    'prefill would take less than no time',
  ]);
});
