import { expect, it } from 'vitest';
import { type PickRun, ratioIn, verdicts } from '../../../experiments/src/bench/picks/verdicts.js';

const run = (
  situation: PickRun['situation'],
  leg: PickRun['leg'],
  round: number,
  tokensPerSecond: number,
): PickRun => ({ situation, leg, round, tokensPerSecond });

it('judges a pick by the fastest serial of its own round', () => {
  const runs = [
    ...[run('main', 'none', 0, 5), run('main', 'serial', 0, 10), run('main', 'serial-8', 0, 8)],
    run('main', 'pick', 0, 12),
    // A round in which the machine is half as fast, and 8 candidates are the better ones.
    ...[run('main', 'none', 1, 2.5), run('main', 'serial', 1, 4), run('main', 'serial-8', 1, 5)],
    ...[run('main', 'pick', 1, 6.5), run('desk', 'none', 0, 100)],
  ];
  expect(ratioIn(runs, 'main', 'pick', ['serial', 'serial-8'])).toMatchObject({ n: 2, ratio: 1.25 });
  expect(verdicts(runs, {})).toEqual([
    'reached: the main job, of serial: the pick 1.25 times as fast, 1.25 wanted (2 rounds)',
    'reached: the main job, of none: the pick 2.50 times as fast, 2.4 wanted (2 rounds)',
    'not measured here: one sequence at a desk, of serial, 1.5 wanted',
  ]);
});

it('says how sure that is, and what remains without packing', () => {
  const runs = [10, 11, 12].flatMap((speed, round) => [
    ...[run('desk', 'serial-8', round, speed), run('desk', 'pick', round, 2 * speed)],
    run('desk', 'pick-bf16', round, 1.4 * speed),
  ]);
  expect(verdicts(runs, { desk: true })).toEqual([
    'reached: one sequence at a desk, of serial: the pick 2.00 times as fast, 1.5 wanted (3 rounds, 2.00 to 2.00 with 95 %; 1.40 without packing)',
  ]);
  const slow = runs.map((one) => (one.leg === 'pick' ? { ...one, tokensPerSecond: 14 } : one));
  expect(verdicts(slow, { desk: false })[0]).toMatch(/^not reached: .* the pick 1\.27 times .* with 95 %\)$/);
});
