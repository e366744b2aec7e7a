/** Where a queue is, and a connection to it: the only place that loads the Redis client, so that nobody else waits for it. */

import { setTimeout } from 'node:timers/promises';
import { reasonOf, UserError } from '@specoffload/input';
import type { Redis } from 'ioredis';

/** Before all of the lab's keys, which may lie beside those of others. */
export const keyPrefix = 'specoffload';

/** @throws UserError for what is no address of a Redis server */
export function assertQueueAddress(address: string): void {
  if (/^unix:\/\/\/./.test(address)) return;
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '')
    throw new UserError(
      `invalid queue: ${withoutPassword(address)}; expected redis://host:port, rediss://host:port or unix:///path/to/socket`,
    );
}

/** As people may read it. */
export function withoutPassword(address: string): string {
  return address.replace(/\/\/[^@/]*@/, '//');
}

/**
 * A connection that comes back by itself after the server was away; commands given meanwhile wait.
 * @param onChange told when the server is gone, and when it is back
 * @throws UserError when nobody answers at first
 */
export async function connect(address: string, onChange: (isBack: boolean) => void): Promise<Redis> {
  const { Redis: Client } = await import('ioredis');
  let isOpen = false;
  let isAway = false;
  const redis = new Client(address.replace(/^unix:\/\//, ''), {
    lazyConnect: true,
    maxRetriesPerRequest: null,
    // What is asked in one moment crosses at once.
    enableAutoPipelining: true,
    retryStrategy: (times) => (isOpen ? Math.min(50 * 2 ** times, 2000) : null),
  });
  let reason: unknown;
  redis.on('error', (error) => {
    reason = error;
  });
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    redis.disconnect();
    throw new UserError(
      `no Redis answers at ${withoutPassword(address)} (${reasonOf(reason ?? error)}); start one with redis-server --appendonly yes, or mend --queue`,
    );
  }
  isOpen = true;
  redis.on('close', () => {
    if (!isAway) onChange(false);
    isAway = true;
  });
  redis.on('ready', () => {
    if (isAway) onChange(true);
    isAway = false;
  });
  return redis;
}

/** Ends the connection, which is no news. */
export function hangUp(redis: Redis): void {
  redis.removeAllListeners('close');
  redis.disconnect();
}

/** What a command comes to, or null when a server that is away lets it wait for longer than that. */
export async function unlessAway<T>(work: Promise<T>, milliseconds = 2000): Promise<T | null> {
  const over = new AbortController();
  const end = setTimeout(milliseconds, null, { signal: over.signal }).catch(() => null);
  return Promise.race([work.catch(() => null), end]).finally(() => over.abort());
}
