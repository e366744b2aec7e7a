/** What a device reaches, measured in about a second: copies both ways, weights read by one row, products of many rows. */

import { codecs, f32, loadNativeCore } from '@specoffload/native';
import { parseModelSpec } from '../model/config.js';
import type { ModelSpec } from '../model/spec.js';
import { nowSeconds } from './clock.js';
import type { Command, Completion, DeviceFacts, DeviceQueue } from './device.js';
import { connectQueue, type DeviceChoice, formatsOf, openDevice } from './devices.js';
import { dtypeOnDevice } from './formats.js';
import { PoolLayout, PoolMemory } from './pool.js';
import { stretch } from './stretches.js';

export interface DeviceRates {
  /** Weights as stored in bf16, in whatever way they cross. */
  readonly toDeviceBytesPerSecond: number;
  readonly fromDeviceBytesPerSecond: number;
  /** Of weights in device memory that one row is multiplied with. */
  readonly weightBytesPerSecond: number;
  /** Of products of {@link manyRows} rows. */
  readonly flopsPerSecond: number;
  /** From an empty submission to its answer, as the submitting thread has it. */
  readonly answerSeconds: number;
}

export interface MeasuredDevice {
  readonly facts: DeviceFacts;
  readonly rates: DeviceRates;
}

export const manyRows = 256;

export interface MeasuredSizes {
  /** Of the largest matrix, as stored: more than the device's caches hold. */
  readonly weightBytes: number;
  /** Of rows, and of the smaller matrix that many of them are multiplied with. */
  readonly width: number;
}

const usualSizes: MeasuredSizes = { weightBytes: 2 ** 26, width: 2048 };

const dtype = 'bf16';
const secondsEach = 0.2;

export async function measureDevice(
  choice: DeviceChoice,
  { weightBytes, width } = usualSizes,
): Promise<MeasuredDevice> {
  const core = loadNativeCore();
  const formats = formatsOf(choice);
  const models = {
    target: productOf(Math.floor(codecs[dtype].count(weightBytes) / width), width),
    draft: productOf(width, width),
  };
  const host = new PoolLayout('host');
  const source = host.place('weights', weightBytes).byteOffset;
  const memory = new PoolLayout('device', formats.largestPieceBytes);
  const onDevice = dtypeOnDevice(formats, { dtype });
  const weights = memory.place('weights', codecs[onDevice].bytes(models.target.vocabSize * width)).byteOffset;
  const norm = memory.place('weights', f32.bytes(width)).byteOffset;
  const x = memory.place('activations', f32.bytes(manyRows * width)).byteOffset;
  const out = memory.place(
    'activations',
    f32.bytes(Math.max(models.target.vocabSize, manyRows * width)),
  ).byteOffset;
  memory.reserve('provider workspace', f32.bytes(manyRows * width));

  const hostMemory = PoolMemory.create(core, host);
  hostMemory.fill(0);
  const device = await openDevice(choice, {
    ...{ core, memory, formats, models, host: hostMemory.handles, threads: 1 },
  });
  const [compute, copy] = [
    await connectQueue(device.handOver('compute')),
    await connectQueue(device.handOver('copy')),
  ];
  try {
    const count = models.target.vocabSize * width;
    await compute.submit([
      { kind: 'zero', target: x, byteLength: f32.bytes(manyRows * width) },
      { kind: 'zero', target: norm, byteLength: f32.bytes(width) },
    ]);
    const logits = (model: 'target' | 'draft', rows: number): Command => ({
      ...{ kind: 'logits', model, x, rows, out },
      weights: { finalNorm: { address: norm, dtype: 'f32' }, head: { address: weights, dtype: onDevice } },
    });
    const values = f32.count(weightBytes);
    const [toDevice, fromDevice, read, multiply] = [
      await secondsPer(copy, { kind: 'decode', source, dtype, count, target: weights }),
      await secondsPer(copy, {
        kind: 'read-back',
        host: source,
        device: weights,
        stretches: stretch(values),
      }),
      await secondsPer(compute, logits('target', 1)),
      await secondsPer(compute, logits('draft', manyRows)),
    ];
    return {
      facts: device.facts,
      rates: {
        toDeviceBytesPerSecond: codecs[dtype].bytes(count) / toDevice,
        fromDeviceBytesPerSecond: f32.bytes(values) / fromDevice,
        weightBytesPerSecond: codecs[onDevice].bytes(count) / read,
        flopsPerSecond: (2 * manyRows * width * width) / multiply,
        answerSeconds: await secondsToAnswer(compute),
      },
    };
  } finally {
    await compute.close();
    await copy.close();
    await device.close();
    hostMemory.release();
  }
}

/** The shortest of those that there is time for, once caches, clocks and kernels are warm. */
async function secondsPer(queue: DeviceQueue, command: Command): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  let times = 1;
  const lasted = ({ startSeconds, endSeconds }: Completion) => endSeconds - startSeconds;
  await queue.submit([command]);
  for (let spent = 0; spent < secondsEach; ) {
    const seconds = lasted(await queue.submit(Array.from({ length: times }, () => command)));
    best = Math.min(best, seconds / times);
    spent += Math.max(seconds, 1e-4);
    if (seconds < secondsEach / 20) times *= 4; // or what is measured is the beginning and the end
  }
  return best;
}

/** The median of a hundred. */
async function secondsToAnswer(queue: DeviceQueue): Promise<number> {
  const seconds: number[] = [];
  for (let turn = 0; turn < 100; turn += 1) {
    const start = nowSeconds();
    await queue.submit([]);
    seconds.push(nowSeconds() - start);
  }
  return seconds.sort((a, b) => a - b)[50];
}

/** A model that is one product: its head. */
export function productOf(numOut: number, width: number): ModelSpec {
  return parseModelSpec(
    {
      ...{ model_type: 'llama', vocab_size: numOut, hidden_size: width, intermediate_size: width },
      ...{ num_hidden_layers: 1, num_attention_heads: 1, num_key_value_heads: 1, head_dim: 64 },
    },
    'a product',
  );
}
