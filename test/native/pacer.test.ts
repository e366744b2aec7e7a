import { describe, expect, test } from 'vitest';
import { Pacer } from '../../native/src/pacer.js';

// The C++ core's pacer is driven through the same cases in native/src/cpp/smoke.cpp.
describe('a link of 1000 bytes per second', () => {
  test('gives each transfer its slice of time', () => {
    const pacer = new Pacer(1000);
    const cases = [
      { title: 'at once', bytes: 1000, asked: 10, now: 10, slot: [10, 11] },
      { title: 'behind what is under way', bytes: 500, asked: 10, now: 10, slot: [11, 11.5] },
      { title: 'a late thread loses no time', bytes: 500, asked: 10, now: 11.515, slot: [11.5, 12] },
      { title: 'an idle link saves nothing up', bytes: 500, asked: 20, now: 20, slot: [20, 20.5] },
      { title: 'more than delays is not forgiven', bytes: 500, asked: 20.1, now: 21, slot: [20.98, 21.48] },
      { title: 'nothing takes no time', bytes: 0, asked: 21, now: 21.1, slot: [21.48, 21.48] },
    ];
    for (const { title, bytes, asked, now, slot } of cases) {
      const { startSeconds, endSeconds } = pacer.reserve(bytes, asked, now);
      expect(startSeconds, title).toBeCloseTo(slot[0], 9);
      expect(endSeconds, title).toBeCloseTo(slot[1], 9);
    }
  });

  test('delivers its rate however late whoever sleeps wakes up', () => {
    const pacer = new Pacer(1000);
    let now = 5;
    let delivered = 0;
    for (let i = 0; i < 1000; i += 1) {
      // Always two asked for: the next one was when this one began.
      const { endSeconds } = pacer.reserve(10, now - 0.01, now);
      delivered += 10;
      const oversleepSeconds = (i % 7) * 0.001;
      now = Math.max(now, endSeconds) + oversleepSeconds;
    }
    expect(delivered / (now - 5) / 1000).toBeGreaterThan(0.998);
    expect(delivered / (now - 5) / 1000).toBeLessThanOrEqual(1.002);
  });

  test('makes up for no more than 20 ms after a stall', () => {
    const pacer = new Pacer(1000);
    pacer.reserve(1, 0, 0);
    const { startSeconds } = pacer.reserve(1, 0, 100);
    expect(startSeconds).toBeCloseTo(99.98, 9);
  });
});
