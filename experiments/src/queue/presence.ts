/** Who is at work on a queue: a key for each worker, which the server forgets by its own clock. */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { check, is, parseJson, UserError } from '@specoffload/input';
import type { Redis } from 'ioredis';
import { keyPrefix } from './address.js';
import { labelPattern, type MachineClass, machinePattern } from './machine-class.js';

const listKey = `${keyPrefix}:workers`;
const keyOf = (id: string) => `${keyPrefix}:worker:${id}`;
const forgottenAfterMs = 15_000;
const saidEveryMs = 4000;

export interface Worker {
  readonly host: string;
  readonly pid: number;
  /** Predictions at a time. */
  readonly parallel: number;
  /** null of those that measure nothing. */
  readonly machineClass: MachineClass | null;
}

const worker = is.fields({
  host: is.text,
  ...{ pid: is.wholeFrom(1), parallel: is.wholeFrom(1) },
  machineClass: is.orNull(
    is.fields({
      label: is.matching(labelPattern, 'a label'),
      machine: is.matching(machinePattern, 'a digest'),
    }),
  ),
});

/** Says again and again that this process is there. @returns what ends that */
export async function announce(
  redis: Redis,
  own: Pick<Worker, 'parallel' | 'machineClass'>,
): Promise<() => Promise<void>> {
  const id = randomUUID();
  const text = JSON.stringify({ host: hostname(), pid: process.pid, ...own } satisfies Worker);
  const say = async () => {
    await redis.set(keyOf(id), text, 'PX', forgottenAfterMs);
    await redis.sadd(listKey, id);
  };
  await say();
  const timer = setInterval(() => void say().catch(() => {}), saidEveryMs);
  return async () => {
    clearInterval(timer);
    await redis.del(keyOf(id));
    await redis.srem(listKey, id);
  };
}

/** Those that were there a moment ago. */
export async function listWorkers(redis: Redis): Promise<Worker[]> {
  const ids = await redis.smembers(listKey);
  if (ids.length === 0) return [];
  const texts = await redis.mget(ids.map(keyOf));
  const gone = ids.filter((_, index) => texts[index] === null);
  if (gone.length > 0) await redis.srem(listKey, ...gone);
  return texts.flatMap((text) => (text === null ? [] : (maybeWorker(text) ?? [])));
}

function maybeWorker(text: string): Worker | null {
  try {
    return check(worker, parseJson(text, 'a worker', { maxLength: 4096, maxDepth: 4 }), 'a worker');
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}
