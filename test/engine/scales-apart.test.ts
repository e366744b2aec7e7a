/** Weights whose scales lie in tensors of their own reach a device as stored, and are multiplied as if they had been decoded. */

import { readFileSync } from 'node:fs';
import {
  loadReferenceWeights,
  openCheckpoint,
  readTensor,
  referenceGreedy,
  runEngine,
  type WeightGroup,
} from '@specoffload/engine';
import { codecs, decodeMatrix, type MatrixLayout, spanBytes } from '@specoffload/native';
import { expect, it } from 'vitest';
import { localFormats, vulkanFormats } from '../../engine/dist/machine/formats.js';
import { type GroupLayout, layOutGroup, splitLayout } from '../../engine/dist/schedule/group-layout.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { goldenDirectory } from './model/golden.js';
import { quantisedKinds, writePair } from './model/quantised.js';
import { validationMessages, watchedVulkan, whyNoVulkan } from './vulkan.js';

const root = createTemporaryDirectory();

/** What lies in device memory when all parts of a group have crossed. */
function cross(parts: readonly GroupLayout[], deviceBytes: number): Uint8Array {
  const device = new Uint8Array(deviceBytes);
  for (const { ranges, stagedBytes, pieces } of parts) {
    const staged = new Uint8Array(stagedBytes);
    for (const { path, fileOffset, byteLength, stagedOffset } of ranges)
      staged.set(readFileSync(path).subarray(fileOffset, fileOffset + byteLength), stagedOffset);
    for (const { dtype, count, stagedOffset, deviceOffset, layout } of pieces) {
      if (layout) continue; // is decoded on its way
      const byteLength = codecs[dtype].bytes(count);
      device.set(staged.subarray(stagedOffset, stagedOffset + byteLength), deviceOffset);
    }
  }
  return device;
}

async function checkGroup(group: WeightGroup, formats = vulkanFormats) {
  const layout = layOutGroup(group, formats);
  const device = cross([layout], layout.deviceBytes);
  const scaled = layout.tensors.filter(({ deviceScales }) => deviceScales);
  expect(scaled.length).toBeGreaterThan(0);
  for (const {
    role,
    deviceDtype: dtype,
    deviceOffset,
    deviceStep: step = 1,
    deviceAcross: across = 0,
    deviceScales,
  } of scaled) {
    const { ref } = group.tensors.find((tensor) => tensor.role === role)!;
    const [rows, columns] = ref.shape as [number, number];
    const order = { rows, columns, step, paired: 1, across };
    const { zeros: points, address, groupStride: stride = 1, groupOfColumn: groups, ...grid } = deviceScales!;
    const zeros = points && {
      ...{ codec: points.codec, isLessOne: points.isLessOne, offset: points.address - deviceOffset },
      groupStride: points.across === 1 ? codecs[points.codec].blockElements * points.groupStride : 0,
    };
    const groupOfColumn = groups === undefined ? undefined : { offset: groups - deviceOffset };
    const groupStride = stride > 1 ? stride : 0;
    const scales = {
      ...grid,
      groupStride,
      offset: address - deviceOffset,
      zeros,
      groupOfColumn,
    } as MatrixLayout['scales'];
    const bits = new Uint32Array(rows * columns);
    decodeMatrix(device, deviceOffset, dtype, { ...order, scales }, bits);
    expect(new Float32Array(bits.buffer), role).toEqual(await readTensor(ref));
    expect(spanBytes(dtype, order)).toBeLessThanOrEqual(scales!.offset);
  }
  const stagingBytes = 5 * 4096; // pages, four of them for borders
  const parts = splitLayout(layout, stagingBytes, formats);
  expect(parts.length > 1).toBe(layout.stagedBytes > stagingBytes);
  expect(cross(parts, layout.deviceBytes)).toEqual(device);
}

it('MXFP4 lies in device memory as stored, gate and up by turns as in its file, whole or in parts', async () => {
  const { layers } = await openCheckpoint(goldenDirectory('gpt-oss-mxfp4'));
  const { experts } = layers[1]!;
  await checkGroup(experts[5]!);
  const { deviceBytes, stagedBytes } = layOutGroup(experts[5]!, vulkanFormats);
  // Three matrices of four bits and a quarter, biases in fp32, padding.
  expect(deviceBytes).toBeLessThan((4.25 / 8) * 3 * 64 * 64 + 1100);
  expect(stagedBytes).toBeGreaterThan(5 * 4096);
});

async function writeKind(name: string) {
  const { quantisation, quantise } = quantisedKinds[name]!;
  const { directories } = await writePair(root, name.replaceAll(' ', '-'), quantisation, quantise);
  return Promise.all(directories.map((directory) => openCheckpoint(directory)));
}

it.each(Object.keys(quantisedKinds))(
  '%s lies in device memory as stored, a processor’s and a GPU’s',
  async (name) => {
    const [target] = await writeKind(name);
    const { attention, experts } = target!.layers[0]!;
    for (const formats of [vulkanFormats, localFormats])
      for (const group of [attention, experts[0]!]) await checkGroup(group, formats);
  },
);

it
  .skipIf(whyNoVulkan !== null)
  .each([
    'four bits with zero points',
    'four bits in groups of their own',
    'eight bits packed',
    'eight bits by row',
    'GPTQ of eight bits',
  ])('%s stays there in a pinned layer, and is computed with', async (name) => {
  const [target, plain] = await writeKind(name);
  const prompts = [[1, 2, 3, 4, 5, 6, 7], [9]];
  const result = await runEngine({
    ...{ target: target!, draft: null, prompts, strategy: 'none', maxNewTokens: 4, stopAtEos: false },
    ...{ machine: { deviceBytes: 16e6, hostBytes: 16e6 }, device: watchedVulkan },
    policy: { pinnedLayers: 1, keptLayers: 0, attention: 'device' },
  });
  const weights = await loadReferenceWeights(plain!);
  const expected = prompts.map((ids) => referenceGreedy(weights, ids, 4).ids);
  expect(result.sequences.map(({ ids }) => ids.slice(-4))).toEqual(expected.map((ids) => ids.slice(-4)));
  expect(validationMessages()).toEqual([]);
});
