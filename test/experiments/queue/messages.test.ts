/** What a queue may be told: points and answers of strangers, addresses, labels. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { assertQueueAddress, withoutPassword } from '../../../experiments/src/queue/address.js';
import { parseClass } from '../../../experiments/src/queue/machine-class.js';
import { readAnswer, readPoint } from '../../../experiments/src/queue/messages.js';

const digest = '0123456789abcdef0123456789abcdef';
const point = {
  ...{ kind: 'simulated', session: digest, store: digest },
  location: {
    key: digest,
    point: { experiment: 'mine', pointKey: digest, axes: { candidates: 4 }, settings: { machine: 'env1' } },
  },
  ...{ turn: { seed: 1, repeat: 0 }, metric: 'tokensPerSecond', keepsTraces: false, warmups: 0 },
};
const placed = (changes: object) => ({
  ...point,
  location: { ...point.location, point: { ...point.location.point, ...changes } },
});

describe('a point of the queue', () => {
  it('is taken as a sweep writes it', () => {
    expect(readPoint(JSON.stringify(point))).toEqual(point);
  });

  it.each([
    ['no text', 7, /a point of the queue: invalid content: 7/],
    ['no JSON', 'run this', /is not valid JSON/],
    ['a folder for a name', JSON.stringify(placed({ experiment: '../../etc' })), /invalid experiment/],
    ['a key that leads elsewhere', JSON.stringify({ ...point, store: '../x' }), /invalid store: "..\/x"/],
    ['a setting that is none', JSON.stringify(placed({ settings: { command: 'rm' } })), /unknown setting/],
    ['more than a point', JSON.stringify(placed({ axes: { a: 'x'.repeat(1 << 18) } })), /at most 262144/],
    ['depth', `${'['.repeat(50)}${']'.repeat(50)}`, /more than 12 deep/],
  ])('is refused: %s', (_, text, sentence) => {
    expect(() => readPoint(text)).toThrow(sentence);
  });
});

it.each([
  ['an end that is none', '{"end":"eval"}', /invalid end: "eval"/],
  ['a record that is none', '{"end":"sent","isDisturbed":false,"files":{"record":1}}', /files.record: 1/],
])('refuses an answer: %s', (_, text, sentence) => {
  expect(() => readAnswer(text)).toThrow(sentence);
});

it('takes addresses of Redis servers, and shows no password', () => {
  for (const address of ['redis://10.0.0.5:6379', 'rediss://:secret@host', 'unix:///run/redis.sock'])
    assertQueueAddress(address);
  expect(withoutPassword('redis://me:secret@host:1')).toBe('redis://host:1');
  for (const address of ['host:6379', 'http://host', 'redis://', 'unix://'])
    expect(() => assertQueueAddress(address)).toThrow(/invalid queue: .*; expected redis:/);
});

it('takes labels, with the digest of a machine file where several share one', () => {
  expect(parseClass('desk')).toEqual({ label: 'desk', machine: null });
  expect(parseClass('desk@0123456789ab')).toEqual({ label: 'desk', machine: '0123456789ab' });
  for (const label of ['Desk', 'desk@12', 'a@none@none', '../x', ''])
    expect(() => parseClass(label)).toThrow(/invalid label/);
});

it("leaves the queue's libraries to those who ask for a queue", () => {
  const folder = join(projectDirectory, 'experiments', 'src');
  const loading = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) =>
      name.endsWith('.ts') &&
      /^import (?!type )[^;]*'(?:bullmq|ioredis)'/m.test(readFileSync(join(folder, name), 'utf8')),
  );
  expect(loading).toEqual([]);
});
