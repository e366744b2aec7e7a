import { expect, it } from 'vitest';
import { mostConstants, ReceivedConstants, SentConstants } from '../../engine/src/run/constants.js';
import type { StagedTensor } from '../../engine/src/schedule/group-layout.js';
import type { WorkerOp } from '../../engine/src/schedule/ops.js';
import { uploadOp } from '../../engine/src/schedule/weight-ops.js';
import { expertWeights, storedWeights } from '../../engine/src/schedule/work.js';

const tensors = ['gate', 'up', 'down'].map(
  (role, index): StagedTensor =>
    ({
      ...{ role, dtype: 'bf16', deviceDtype: 'bf16', count: 64, devicePaired: 1 },
      ...{ stagedOffset: 128 * index, deviceOffset: 128 * index },
    }) as StagedTensor,
);
const other = [...tensors];

const expert = (base: number, of = tensors): WorkerOp => ({
  ...{ kind: 'expert', frames: [0], layer: 1, rows: 2, expert: 3 },
  weights: expertWeights({ tensors: of }, base),
});

/** Sends ops to another thread, as messages are. */
function send(ops: readonly WorkerOp[]): { readonly received: WorkerOp[]; readonly numConstants: number } {
  const [sent, known] = [new SentConstants(), new ReceivedConstants()];
  let numConstants = 0;
  const received = ops.map((op) => {
    const constant = sent.pack(op);
    if (constant) numConstants += 1;
    const message = structuredClone({ op, constant });
    known.unpack(message.op, message.constant);
    return message.op;
  });
  return { received, numConstants };
}

it('makes the weights of a group in one place once', () => {
  const layout = { tensors } as unknown as Parameters<typeof storedWeights>[0];
  expect(expertWeights({ tensors }, 4096)).toBe(expertWeights({ tensors }, 4096));
  expect(storedWeights(layout, 4096)).toBe(storedWeights(layout, 4096));
  expect(expertWeights({ tensors }, 8192).gate.address).toBe(8192);
  expect(expertWeights({ tensors: other }, 4096)).not.toBe(expertWeights({ tensors }, 4096));
});

it('sends what ops name again and again once, and every op arrives whole', () => {
  const make = (): WorkerOp[] => [
    expert(0),
    expert(4096),
    expert(0),
    expert(0, other),
    uploadOp({ pieces: tensors }, 100, 200),
    uploadOp({ pieces: tensors }, 300, 400),
    { kind: 'merge', frame: 0, layer: 1, expert: 2 },
    expert(4096),
  ];
  const { received, numConstants } = send(make());
  expect(received).toEqual(make());
  expect(numConstants).toBe(4);
});

it('remembers some of many places at a time, and every op arrives whole', () => {
  const numPlaces = mostConstants + 100;
  const make = () => Array.from({ length: 2 * numPlaces }, (_, index) => expert(4096 * (index % numPlaces)));
  const { received, numConstants } = send(make());
  expect(received).toEqual(make());
  expect(numConstants).toBeGreaterThan(numPlaces);
});
