import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { LaneQueue } from '../../engine/src/run/lane-queue.js';

/** An op, and for a divisible one what arrives while each of its pieces is computed. */
interface FakeOp {
  readonly name: string;
  readonly arrivals?: readonly (readonly FakeOp[])[];
}

/** Serves ops until nothing is left; returns what was computed, in order. */
async function drive(...ops: FakeOp[]): Promise<string[]> {
  const computed: string[] = [];
  const inbox: FakeOp[] = [];
  const queue: LaneQueue<FakeOp> = new LaneQueue({
    isDivisible: ({ arrivals }) => arrivals !== undefined,
    receive: async () => {
      for (const op of inbox.splice(0)) queue.push(op);
      await setImmediate();
    },
    serve: async ({ name, arrivals }, giveWay) => {
      if (!arrivals) {
        computed.push(name);
        return giveWay();
      }
      for (const [piece, arrived] of arrivals.entries()) {
        await giveWay();
        computed.push(`${name}.${piece}`);
        inbox.push(...arrived);
      }
    },
  });
  for (const op of ops) queue.push(op);
  await setImmediate();
  while (inbox.length > 0) {
    for (const op of inbox.splice(0)) queue.push(op);
    await setImmediate();
  }
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  return computed;
}

describe('a lane', () => {
  it('serves ops in the order in which they come', async () => {
    expect(await drive({ name: 'a' }, { name: 'b' }, { name: 'c' })).toEqual(['a', 'b', 'c']);
  });

  it('lets others in between the pieces of a divisible one, in their order', async () => {
    const draft = { name: 'draft', arrivals: [[{ name: 'a' }, { name: 'b' }], [], [{ name: 'c' }], []] };
    expect(await drive(draft)).toEqual(['draft.0', 'a', 'b', 'draft.1', 'draft.2', 'c', 'draft.3']);
  });

  it('begins no divisible one in the middle of another', async () => {
    const second = { name: 'second', arrivals: [[], []] };
    const first = { name: 'first', arrivals: [[second, { name: 'a' }], []] };
    expect(await drive(first)).toEqual(['first.0', 'a', 'first.1', 'second.0', 'second.1']);
  });

  it('serves what came before a divisible one first', async () => {
    expect(await drive({ name: 'a' }, { name: 'draft', arrivals: [[]] }, { name: 'b' })).toEqual([
      ...['a', 'b', 'draft.0'],
    ]);
  });

  it.each([1, 2, 3])('has %i ops under way where those who serve them keep their order', async (depth) => {
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const queue = new LaneQueue<number>({
      ...{ depth, isDivisible: () => false, receive: setImmediate },
      serve: (op) => {
        begun.push(op);
        return new Promise((resolve) => ends.push(resolve));
      },
    });
    for (let op = 0; op < 5; op += 1) queue.push(op);
    for (let ended = 0; ended < 5; ended += 1) {
      await setImmediate();
      expect(begun).toEqual([0, 1, 2, 3, 4].slice(0, depth + ended));
      // Whichever ends first makes room.
      ends.splice(ended % ends.length, 1)[0]?.();
    }
  });
});
