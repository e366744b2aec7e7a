/** The lab's own fuzzer, as long as a suite can wait for it; `npm run fuzz -- --seconds 60` goes on for longer. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('fuzz.mjs', import.meta.url));

async function fuzz(...flags: string[]) {
  const run = promisify(execFile)(process.execPath, [script, ...flags]);
  const { stdout } = await run.catch((error: { stdout: string }) => error);
  return JSON.parse(stdout);
}

it('finds nothing that leaks, reaches the terminal raw, is accepted wrongly or hangs in 20,000 inputs', async () => {
  const { inputs, accepted, refused, ...report } = await fuzz('--inputs', '20000', '--seed', '1');
  expect(report).toMatchObject({ leaked: 0, rawControls: 0, nonsense: 0, slow: 0, examples: [] });
  expect([inputs, accepted + refused]).toEqual([20_000, 20_000]);
  // Mutations that are all refused, or all accepted, would reach little.
  expect(accepted).toBeGreaterThan(2000);
  expect(refused).toBeGreaterThan(2000);
  // Some of a parser's inputs wait for files and threads: beside other work long, on a machine of its own seconds.
}, 400_000);

it('hands over the same inputs for the same seed', async () => {
  const [once, again, other] = await Promise.all([
    fuzz('--inputs', '300', '--seed', '7'),
    fuzz('--inputs', '300', '--seed', '7'),
    fuzz('--inputs', '300', '--seed', '8'),
  ]);
  expect(again).toEqual(once);
  expect(other.accepted === once.accepted && other.refused === once.refused).toBe(false);
});
