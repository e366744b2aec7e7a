/**
 * HeteGen's split: some of an FFN's neurons on the host, the others on the device. A neuron is a row of gate and up and a
 * column of down; what both parts make of a row of hidden states is added.
 */

import { UserError } from '@specoffload/input';
import { type Codec, codecs } from '@specoffload/native';
import type { ExpertWeights, HostAddress, StoredTensor } from '../machine/device.js';
import { type Formats, isImagined } from '../machine/formats.js';
import type { Checkpoint } from '../model/types.js';
import { alignUp, type GroupLayout, type StagedTensor, tensorAlignmentBytes } from './group-layout.js';
import type { StoredWeights } from './ops.js';
import type { OpenPolicy } from './policy.js';
import { remembered } from './work.js';

export interface SharedExpert {
  /** How the device's part crosses and lies. */
  readonly device: Pick<GroupLayout, 'tensors' | 'pieces'>;
  readonly deviceWidth: number;
  readonly hostWidth: number;
  /** The host's part, the whole group lying at `base` as stored. */
  readonly hostWeights: (base: HostAddress) => StoredWeights<ExpertWeights>;
}

/** Whether host and device share experts; where memory is only imagined, weights have no parts. */
export function sharesExperts({
  policy,
  formats,
}: {
  readonly policy: Pick<OpenPolicy, 'hostShare' | 'balance'>;
  readonly formats: Formats;
}): boolean {
  return wantsShares(policy) && !isImagined(formats);
}

export function wantsShares({ hostShare, balance }: Pick<OpenPolicy, 'hostShare' | 'balance'>): boolean {
  return hostShare > 0 || balance !== 'given';
}

/** @throws UserError when the target's FFNs are no sum of what their neurons make. */
export function assertCanShare(
  { name, spec, layers }: Checkpoint,
  { hostShare, balance }: Pick<OpenPolicy, 'hostShare' | 'balance'>,
): void {
  const why = spec.layers.some(({ ffn }) => ffn.biases)
    ? 'biases'
    : spec.layers.some(({ norms }) => norms.afterFfn)
      ? 'norms behind its FFNs'
      : layers.some(({ experts }) => experts.some(({ tensors }) => tensors.some(({ ref }) => ref.layout)))
        ? 'weights that are stored across, by turns or with scales apart'
        : null;
  if (why !== null)
    throw new UserError(
      balance === 'given'
        ? `invalid hostShare: ${hostShare}; ${name} has ${why}, so that its FFNs cannot be computed in two parts: expected 0 for it`
        : `invalid balance: ${balance}; ${name} has ${why}, so that its FFNs cannot be computed in two parts: expected given for it, with hostShare 0`,
    );
}

/** Neurons are cut apart between blocks, and between lines of a cache where there are many. */
function cutAt(width: number, hostShare: number, { blockElements }: Codec): number {
  const unit = Math.max(blockElements, width >= 64 ? 16 : 1);
  const wished = Math.round(((1 - hostShare) * width) / unit) * unit;
  // Both have some, unless one block is all there is.
  return Math.min(Math.max(wished, Math.min(unit, width)), Math.max(unit, width - unit));
}

export function shareExpert({ tensors }: GroupLayout, hiddenSize: number, hostShare: number): SharedExpert {
  const down = tensors.find(({ role }) => role === 'down') as StagedTensor;
  const width = down.count / hiddenSize;
  const deviceWidth = cutAt(width, hostShare, codecs[down.dtype]);
  const hostWidth = width - deviceWidth;
  let deviceBytes = 0;
  const own = tensors.map((tensor): StagedTensor => {
    const { role, deviceDtype } = tensor;
    const deviceOffset = deviceBytes;
    const isDown = role === 'down';
    const count = isDown ? deviceWidth : deviceWidth * hiddenSize;
    const runs = isDown ? runsOfDown(tensor, width, hiddenSize) : undefined;
    deviceBytes += alignUp((runs?.number ?? 1) * codecs[deviceDtype].bytes(count), tensorAlignmentBytes);
    return { ...tensor, count, runs, deviceOffset };
  });
  const hostTensor = (tensor: StagedTensor, base: HostAddress): StoredTensor => {
    const { role, dtype, stagedOffset } = tensor;
    const isDown = role === 'down';
    const [before, count] = isDown
      ? [deviceWidth, hostWidth]
      : [deviceWidth * hiddenSize, hostWidth * hiddenSize];
    const source = base + stagedOffset + codecs[dtype].bytes(before);
    return { dtype, count, source, runs: isDown ? runsOfDown(tensor, width, hiddenSize) : undefined };
  };
  return {
    ...{ device: { tensors: own, pieces: own }, deviceWidth, hostWidth },
    hostWeights: remembered(
      (base) =>
        Object.fromEntries(
          tensors.map((tensor) => [tensor.role, hostTensor(tensor, base)]),
        ) as unknown as StoredWeights<ExpertWeights>,
    ),
  };
}

/** Some columns of every row. */
function runsOfDown({ dtype }: StagedTensor, width: number, hiddenSize: number) {
  return { number: hiddenSize, sourceBytes: codecs[dtype].bytes(width) };
}
