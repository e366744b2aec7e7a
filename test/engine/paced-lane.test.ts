import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Delivery, PacedLane, type PacedOp } from '../../engine/src/run/paced-lane.js';

/** Bytes; negative ones cannot be carried. */
type Op = number;

const bytesPerSecondCap = 1000;

interface Thread {
  /** Of really moving one byte. */
  readonly secondsPerByte?: number;
  /** How late it wakes up. */
  readonly oversleptSeconds?: number;
}

/** Sends transfers over a link on a clock of its own: each is received once the thread is past its time. */
async function send(
  transfers: readonly (PacedOp<Op> & { readonly receivedSeconds?: number })[],
  { secondsPerByte = 0, oversleptSeconds = 0 }: Thread = {},
) {
  let clock = 0;
  const deliveries: (Delivery & { readonly toldSeconds: number })[] = [];
  const inbox = [...transfers];
  const receive = async () => {
    await setImmediate();
    while (inbox[0] && (inbox[0].receivedSeconds ?? 0) <= clock) lane.push(inbox.shift() as PacedOp<Op>);
  };
  const lane: PacedLane<Op> = new PacedLane<Op>({
    receive,
    work: (bytes) => {
      if (bytes < 0) throw new Error(`no such bytes: ${bytes}`);
      clock += bytes * secondsPerByte;
      return { seconds: bytes / bytesPerSecondCap };
    },
    deliver: (delivery) => deliveries.push({ ...delivery, toldSeconds: clock }),
    nowSeconds: () => clock,
    sleepUntil: (seconds) => {
      if (seconds > clock) clock = seconds + oversleptSeconds;
    },
  });
  for (let turn = 0; turn < 10 * transfers.length; turn += 1) {
    await receive();
    if (inbox[0] && deliveries.length === transfers.length - inbox.length)
      clock = Math.max(clock, inbox[0].receivedSeconds ?? 0);
  }
  return deliveries;
}

const transfers = (count: number, bytes: number): PacedOp<Op>[] =>
  Array.from({ length: count }, (_, id) => ({ id, op: bytes, readySeconds: 0 }));

const endsOf = (deliveries: readonly Delivery[]) =>
  deliveries.map((delivery) => ('endSeconds' in delivery ? delivery.endSeconds : Number.NaN));

describe('a paced lane', () => {
  it('delivers what is ready back to back at its cap', async () => {
    const deliveries = await send(transfers(3, 100), { secondsPerByte: 0.0001 });
    expect(endsOf(deliveries)).toEqual([expect.closeTo(0.1), expect.closeTo(0.2), expect.closeTo(0.3)]);
    expect(deliveries.map(({ id }) => id)).toEqual([0, 1, 2]);
  });

  it('tells of nothing before its time', async () => {
    for (const delivery of await send(transfers(5, 50), { secondsPerByte: 0.0005 }))
      expect(delivery).toMatchObject({
        toldSeconds: expect.closeTo((delivery as { endSeconds: number }).endSeconds, 9),
      });
  });

  it('loses no time to a thread that oversleeps', async () => {
    const deliveries = await send(transfers(50, 100), { secondsPerByte: 0.0005, oversleptSeconds: 0.01 });
    expect(endsOf(deliveries).at(-1)).toBeCloseTo(5, 9);
  });

  it('loses no time to messages that are on their way', async () => {
    const late = transfers(2, 100).map((transfer) => ({ ...transfer, receivedSeconds: 0.015 }));
    expect(endsOf(await send(late)).at(-1)).toBeCloseTo(0.2, 9);
  });

  it('gives no credit for the time in which nothing was ready', async () => {
    const [first, second] = transfers(2, 100) as [PacedOp<Op>, PacedOp<Op>];
    const deliveries = await send([first, { ...second, readySeconds: 3, receivedSeconds: 3 }]);
    expect(endsOf(deliveries)).toEqual([expect.closeTo(0.1), expect.closeTo(3.1)]);
  });

  it('is no faster than its thread, and says so', async () => {
    const deliveries = await send(transfers(10, 100), { secondsPerByte: 0.002 });
    expect(endsOf(deliveries).at(-1)).toBeCloseTo(2, 9);
    const spans = deliveries as unknown as { startSeconds: number; endSeconds: number }[];
    for (const [index, { startSeconds }] of spans.entries())
      expect(startSeconds).toBeGreaterThanOrEqual(spans[index - 1]?.endSeconds ?? 0);
  });

  it('answers with the error of what cannot be carried, and goes on', async () => {
    const [first, second, third] = transfers(3, 100) as [PacedOp<Op>, PacedOp<Op>, PacedOp<Op>];
    const deliveries = await send([first, { ...second, op: -1 }, third]);
    expect(deliveries[1]).toMatchObject({
      id: 1,
      error: expect.objectContaining({ message: 'no such bytes: -1' }),
    });
    expect(endsOf(deliveries).at(-1)).toBeCloseTo(0.2, 9);
  });
});
