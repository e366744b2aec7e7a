/** A Redis server of a test's own, on a socket that nobody else finds. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** Why tests of the queue are skipped; null where they are not. */
export const missingRedis =
  spawnSync('redis-server', ['--version']).status === 0
    ? null
    : 'no redis-server here (Debian: apt-get install redis-server)';

export class TestRedis {
  readonly #folder: string;
  #server: ChildProcess | null = null;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(): Promise<TestRedis> {
    const redis = new TestRedis(await mkdtemp(join(tmpdir(), 'specoffload-redis-')));
    await redis.start();
    return redis;
  }

  get address(): string {
    return `unix://${this.#socket}`;
  }

  get #socket(): string {
    return join(this.#folder, 'socket');
  }

  async start(): Promise<void> {
    await rm(this.#socket, { force: true });
    const options = { port: 0, unixsocket: this.#socket, dir: this.#folder, appendonly: 'yes', save: '' };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    this.#server = spawn('redis-server', args, { stdio: 'ignore' });
    while (!existsSync(this.#socket)) await setTimeout(20);
  }

  /** As a machine that loses power does. */
  async kill(): Promise<void> {
    this.#server?.kill('SIGKILL');
    if (this.#server?.exitCode === null) await once(this.#server, 'exit');
    this.#server = null;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
