import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { runCell } from '../../kernel/src/notebook/cell.js';
import type { CodeCell } from '../../kernel/src/notebook/format.js';
import { OutputCollector } from '../../kernel/src/notebook/outputs.js';
import { createRequest, type Message } from '../../kernel/src/wire/message.js';
import type { ExecuteReply, KernelSession } from '../../kernel/src/wire/session.js';

const cell = (): CodeCell => ({
  id: 'one',
  cell_type: 'code',
  metadata: {},
  source: '',
  execution_count: null,
  outputs: [],
});
const limit = { kind: 'timeout', message: 'too long', signal: AbortSignal.timeout(50) } as const;

/** A kernel whose cell prints, at a moment of its own, and is heard at another; it never ends but where it is killed. */
function createSession(print: (publish: (madeMs: number) => void) => Promise<void>) {
  const heard = { interrupts: 0, kills: 0 };
  let end = (_reply: ExecuteReply): void => {};
  const interrupted: ExecuteReply = { status: 'error', executionCount: 1, content: {} };
  const session = {
    execute(_code: string, onPublished: (message: Message) => void) {
      const publish = (madeMs: number) => {
        const { header, ...rest } = createRequest('stream', '', { name: 'stdout', text: 'x' });
        onPublished({ ...rest, header: { ...header, date: new Date(madeMs).toISOString() } });
      };
      return new Promise<ExecuteReply>((resolve) => {
        end = resolve;
        void print(publish).then(() => resolve(interrupted));
      });
    },
    interrupt: () => void heard.interrupts++,
    async kill() {
      heard.kills++;
      end(interrupted);
    },
  };
  return { session: session as unknown as KernelSession, heard };
}

const slowly = async (publish: () => void) => {
  for (let part = 0; part < 15; part++) {
    await sleep(300);
    publish();
  }
};

it.concurrent('a cell whose output is still being read has ended in time, however long that takes', async () => {
  const begunMs = Date.now();
  const { session, heard } = createSession((publish) => slowly(() => publish(begunMs)));
  const failure = await runCell(session, cell(), new OutputCollector(), [limit]);
  expect(failure).toMatchObject({ kind: 'timeout', evalue: 'too long' });
  expect(heard.kills).toBe(0);
});

it.concurrent('a cell that goes on to print is ended with its kernel', async () => {
  const { session, heard } = createSession((publish) => slowly(() => publish(Date.now() + 1)));
  const failure = await runCell(session, cell(), new OutputCollector(), [limit]);
  expect(failure).toMatchObject({ evalue: expect.stringContaining('it did not let itself be interrupted') });
  expect(heard).toEqual({ interrupts: 3, kills: 1 });
});
