import { describe, expect, it } from 'vitest';
import { Dispatcher } from '../../engine/dist/run/dispatcher.js';
import type { Machine, MachineLane, TaskListener } from '../../engine/dist/run/machine.js';
import { createTask, type SlotClass, type Task, type TaskHead } from '../../engine/dist/schedule/task.js';
import { type LaneName, localTopology } from '../../engine/dist/topology/topology.js';

/** A machine on which nothing is computed: every task takes as long as its `bytes` say, in virtual seconds. */
class VirtualMachine implements Machine {
  readonly lanes: readonly MachineLane[];
  /** `+ name` when a task starts, with its slot if it took one; `- name` when it ends. */
  readonly log: string[] = [];
  readonly mostRunning: Record<LaneName, number> = { disk: 0, link: 0, host: 0, device: 0 };
  readonly #running: Record<LaneName, number> = { disk: 0, link: 0, host: 0, device: 0 };
  readonly #events: { readonly seconds: number; readonly order: number; readonly fire: () => void }[] = [];
  readonly #failing: ReadonlySet<string>;
  #now = 0;
  #order = 0;

  constructor(
    widths: Readonly<Record<LaneName, number>> = {},
    failing: readonly string[] = [],
    inOrder: readonly LaneName[] = [],
  ) {
    this.lanes = localTopology.lanes.map((lane) => ({
      ...{ ...lane, width: widths[lane.name] ?? 1 },
      keepsOrder: inOrder.includes(lane.name),
    }));
    this.#failing = new Set(failing);
  }

  now(): number {
    return this.#now;
  }

  start(task: Task, slot: number, _readySeconds: number, listener: TaskListener): void {
    task.createOp(slot);
    const { lane, name, bytes } = task;
    const startSeconds = this.#now;
    this.#running[lane] += 1;
    this.mostRunning[lane] = Math.max(this.mostRunning[lane], this.#running[lane]);
    this.log.push(`+ ${name}`);
    this.#at(startSeconds + bytes, () => {
      this.#running[lane] -= 1;
      this.log.push(`- ${name}`);
      if (this.#failing.has(name)) listener.failed(task, new Error(`${name} broke`));
      else listener.ended(task, { startSeconds, endSeconds: this.#now, result: `result of ${name}` });
    });
  }

  /** Lets virtual time pass until nothing is under way. */
  finish(): void {
    while (this.step());
  }

  /** Ends the next task; false when there is none. */
  step(): boolean {
    this.#events.sort((a, b) => a.seconds - b.seconds || a.order - b.order);
    const event = this.#events.shift();
    if (!event) return false;
    this.#now = event.seconds;
    event.fire();
    return true;
  }

  started(): string[] {
    return this.log.filter((line) => line.startsWith('+')).map((line) => line.slice(2));
  }

  #at(seconds: number, fire: () => void): void {
    this.#events.push({ seconds, order: this.#order, fire });
    this.#order += 1;
  }
}

/** A task that is named by its id and takes one second on the device. */
function task(id: number, changes: Partial<Task> = {}): Task {
  const head: TaskHead = {
    id,
    lane: 'device',
    kind: 'expert',
    name: String(id),
    phase: 'decode',
    ...{ pass: 0, batch: 0, priority: 0, rows: 0 },
  };
  return {
    ...createTask(head, {
      after: [],
      bytes: 1, // seconds, see VirtualMachine
      createOp: () => ({ kind: 'upload', pieces: [], host: 0, device: 0 }),
    }),
    ...changes,
  };
}

describe('the order of starting', () => {
  it('starts a task when all it waits for has ended, across lanes', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { lane: 'disk', bytes: 3 }),
      task(1, { lane: 'link', after: [0] }),
      task(2, { lane: 'host', bytes: 1 }),
      task(3, { after: [1, 2] }),
    ]);
    machine.finish();
    expect(machine.log).toEqual(['+ 0', '+ 2', '- 2', '- 0', '+ 1', '- 1', '+ 3', '- 3']);
    const last = dispatcher.spans.at(-1)!;
    expect(last).toMatchObject({ id: 3, readySeconds: 4, startSeconds: 4, endSeconds: 5 });
  });

  it('counts unknown and ended tasks as ended', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([task(0, { after: [17] })]);
    machine.finish();
    dispatcher.add([task(1, { after: [0] })]);
    machine.finish();
    expect(machine.started()).toEqual(['0', '1']);
  });

  it('takes the lower priority number first, and the lower id among equals, however they were added', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    const blocker = task(0);
    const rest = [
      task(9, { priority: 1, after: [0] }),
      task(7, { priority: 5, after: [0] }),
      task(8, { priority: 1, after: [0] }),
      task(3, { priority: 5, after: [0] }),
      task(4, { priority: -1, after: [0] }),
    ];
    dispatcher.add([blocker, ...rest]);
    machine.finish();
    expect(machine.started()).toEqual(['0', '4', '8', '9', '3', '7']);
  });

  it('chooses among what is ready when the lane becomes free, not when it was added', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { lane: 'disk', bytes: 1 }),
      task(1, { bytes: 2 }),
      task(2, { priority: 9 }),
      task(3, { after: [0] }),
    ]);
    machine.finish();
    expect(machine.started()).toEqual(['0', '1', '3', '2']);
  });

  it('runs the same graph the same way twice', () => {
    const run = () => {
      const machine = new VirtualMachine({ disk: 2 });
      const lanes: readonly LaneName[] = ['disk', 'link', 'host', 'device'];
      const tasks = Array.from({ length: 60 }, (_, id) =>
        task(id, {
          lane: lanes[(id * 7) % 4],
          priority: (id * 5) % 3,
          bytes: 1 + ((id * 11) % 4),
          after: id < 8 ? [] : [id - 3 - (id % 5), id - 1 - (id % 2)],
        }),
      );
      new Dispatcher(machine).add(tasks);
      machine.finish();
      return machine.log;
    };
    expect(run()).toHaveLength(120);
    expect(run()).toEqual(run());
  });
});

describe('lanes', () => {
  it.each([1, 2, 3])('never give a lane of width %i more', (width) => {
    const machine = new VirtualMachine({ disk: width });
    const dispatcher = new Dispatcher(machine);
    dispatcher.add(Array.from({ length: 7 }, (_, id) => task(id, { lane: 'disk', bytes: 1 + (id % 3) })));
    machine.finish();
    expect(machine.mostRunning.disk).toBe(width);
    expect(dispatcher.spans).toHaveLength(7);
  });

  it('work side by side', () => {
    const machine = new VirtualMachine();
    new Dispatcher(machine).add([task(0, { lane: 'disk' }), task(1, { lane: 'link' }), task(2)]);
    expect(machine.log).toEqual(['+ 0', '+ 1', '+ 2']);
  });
});

describe('slots', () => {
  const buffers = (count: number): SlotClass => ({ name: 'device.expert', count });

  it('hold back takers until a user gives one back, and are given out again', () => {
    const takes = buffers(2);
    const machine = new VirtualMachine({ link: 9 });
    const dispatcher = new Dispatcher(machine);
    const slots: number[] = [];
    const upload = (id: number) =>
      task(id, {
        lane: 'link',
        takes,
        createOp: (slot) => {
          slots.push(slot);
          return { kind: 'upload', pieces: [], host: 0, device: 0 };
        },
      });
    dispatcher.add([
      upload(0),
      upload(1),
      upload(2),
      task(3, { after: [0, 1], frees: [1] }),
      task(4, { after: [2] }),
    ]);
    expect(machine.started()).toEqual(['0', '1']);
    machine.finish();
    expect(machine.started()).toEqual(['0', '1', '3', '2', '4']);
    expect(slots).toEqual([0, 1, 1]);
    expect(dispatcher.slotOf(0)).toBe(0);
    expect(dispatcher.slotOf(2)).toBe(1);
    expect(() => dispatcher.slotOf(1)).toThrow('task 1 holds no slot');
    const waited = dispatcher.spans.find(({ id }) => id === 2)!;
    expect(waited.readySeconds, 'ready when the slot is free, not before').toBe(2);
  });

  it('go to takers in the order of their adding, though later ones are ready first', () => {
    // The uploads of a kept layer wait for no read. Were they to take both slots, the streamed group that is needed
    // before them would wait for a slot, and they for the computation that gives one back: a deadlock.
    const takes = buffers(2);
    const machine = new VirtualMachine({ link: 2 });
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { lane: 'disk', bytes: 5 }),
      task(1, { lane: 'link', name: 'streamed', after: [0], takes }),
      task(2, { lane: 'link', name: 'kept', takes }),
      task(3, { lane: 'link', name: 'kept too', takes }),
      task(4, { name: 'use streamed', after: [1], frees: [1] }),
      task(5, { name: 'use kept', after: [4, 2], frees: [2] }),
      task(6, { name: 'use kept too', after: [5, 3], frees: [3] }),
    ]);
    expect(machine.started()).toEqual(['0']);
    machine.finish();
    expect(dispatcher.spans).toHaveLength(7);
    expect(machine.started().slice(1)).toEqual([
      ...['streamed', 'kept', 'use streamed'],
      ...['kept too', 'use kept', 'use kept too'],
    ]);
  });

  it('of different classes do not wait for each other', () => {
    const machine = new VirtualMachine({ link: 2 });
    const dispatcher = new Dispatcher(machine);
    const experts = buffers(1);
    const attention: SlotClass = { name: 'device.attention', count: 1 };
    dispatcher.add([
      task(0, { lane: 'link', takes: experts }),
      task(1, { lane: 'link', takes: experts }),
      task(2, { lane: 'link', takes: attention }),
    ]);
    expect(machine.started()).toEqual(['0', '2']);
  });

  it('are in use from the start of their taker until they are given back, or until now', () => {
    const slotClass = buffers(2);
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { lane: 'link', bytes: 2, takes: slotClass }),
      task(1, { lane: 'link', bytes: 3, takes: slotClass }), // has its slot at 0, and the link at 2
      task(2, { after: [0], bytes: 4, frees: [0] }),
      task(3, { after: [1], takes: slotClass, isIdle: () => true }), // never fills what it holds
    ]);
    machine.finish();
    expect(dispatcher.slotUses().toArray()).toEqual([
      { slotClass, startSeconds: 0, endSeconds: 6 },
      { slotClass, startSeconds: 2, endSeconds: 6 },
    ]);
  });

  it('cannot be given back twice', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([task(0, { takes: buffers(1) }), task(1, { after: [0], frees: [0] })]);
    machine.finish();
    dispatcher.add([task(2, { frees: [0] })]);
    expect(() => machine.finish()).toThrow('task 0 holds no slot to give back');
  });
});

describe('what a task waited for', () => {
  const causes = (dispatcher: Dispatcher) =>
    Object.fromEntries(dispatcher.spans.map(({ id, waitedFor }) => [id, waitedFor]));

  it('is told by the last of its tasks to end', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { lane: 'link', kind: 'upload', bytes: 3 }),
      task(1, { lane: 'host', kind: 'attention', bytes: 5 }),
      task(2, { kind: 'draft', bytes: 1 }),
      task(3, { after: [0, 2] }),
      task(4, { after: [0, 1] }),
      task(5, { after: [4] }),
      task(6, { after: [2], priority: 9 }),
    ]);
    machine.finish();
    expect(causes(dispatcher)).toMatchObject({ 3: 'weights', 4: 'attention', 5: 'nothing', 6: 'draft' });
  });

  it('is told by the task that gave back the slot it waited for', () => {
    const takes: SlotClass = { name: 'device.cache', count: 1 };
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { takes }),
      task(1, { lane: 'link', kind: 'store', after: [0], frees: [0], bytes: 2 }),
      task(2, { takes }),
    ]);
    machine.finish();
    expect(causes(dispatcher)).toMatchObject({ 0: 'nothing', 2: 'attention' });
  });

  it('is what a task with nothing to do had waited for itself', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { lane: 'link', kind: 'upload' }),
      task(1, { after: [0], isIdle: () => true }),
      task(2, { after: [1] }),
    ]);
    machine.finish();
    expect(causes(dispatcher)).toMatchObject({ 2: 'weights' });
  });

  it('is, for those that wait for none, what whoever adds them has waited for', async () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([task(0, { lane: 'link', kind: 'upload' })]);
    const uploaded = dispatcher.settled(0);
    machine.finish();
    await uploaded;
    dispatcher.add([task(1)]);
    machine.finish();
    expect(causes(dispatcher)).toEqual({ 0: 'nothing', 1: 'weights' });
  });
});

describe('idle tasks', () => {
  it('end at once, off the lane and out of the trace, but free slots and release dependents', async () => {
    const takes: SlotClass = { name: 'device.expert', count: 1 };
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    const ended: unknown[] = [];
    dispatcher.add([
      task(0, { lane: 'link', takes }),
      task(1, { after: [0], frees: [0], isIdle: () => true, onEnd: (result) => ended.push(result) }),
      task(2, { lane: 'link', after: [], takes, priority: 1 }),
      task(3, { after: [1] }),
    ]);
    const idle = dispatcher.settled(1);
    machine.finish();
    await idle;
    expect(ended).toEqual([undefined]);
    const starts = Object.fromEntries(dispatcher.spans.map(({ id, startSeconds }) => [id, startSeconds]));
    expect(starts).toEqual({ 0: 0, 2: 1, 3: 1 });
  });

  it('may follow each other by the hundred', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    const isIdle = () => true;
    dispatcher.add([
      task(0),
      ...Array.from({ length: 500 }, (_, i) => task(i + 1, { after: [i], isIdle })),
      task(501, { after: [500] }),
    ]);
    machine.finish();
    expect(machine.started()).toEqual(['0', '501']);
  });
});

describe('ends', () => {
  it('hand the result over before dependents start and waiters hear of it', async () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    let result: unknown;
    let seen: unknown;
    dispatcher.add([
      task(0, {
        onEnd: (value) => {
          result = value;
        },
      }),
      task(1, {
        after: [0],
        createOp: () => {
          seen = result;
          return { kind: 'upload', pieces: [], host: 0, device: 0 };
        },
      }),
    ]);
    const settled = dispatcher.settled(1);
    machine.finish();
    await settled;
    expect(seen).toBe('result of 0');
    await expect(dispatcher.settled(0), 'a task that has ended').resolves.toBeUndefined();
  });

  it('let a task be added from the end of another', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([task(0, { onEnd: () => dispatcher.add([task(2)]) }), task(1, { after: [0] })]);
    machine.finish();
    expect(machine.started().sort()).toEqual(['0', '1', '2']);
  });
});

describe('failure', () => {
  it.each<[string, Partial<Task>]>([
    [
      'the making of an op',
      {
        createOp: () => {
          throw new Error('no op');
        },
      },
    ],
    [
      'the end of a task',
      {
        onEnd: () => {
          throw new Error('no op');
        },
      },
    ],
  ])('of %s fails the run, not the process', async (_title, changes) => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([task(0), task(1, { after: [0], ...changes }), task(2, { after: [1] })]);
    const waiting = expect(dispatcher.settled(2)).rejects.toThrow('no op');
    machine.finish();
    await waiting;
    expect(machine.started()).not.toContain('2');
    await dispatcher.drain();
  });

  it('rejects everyone who waits or comes to wait, and starts nothing more', async () => {
    const machine = new VirtualMachine({ disk: 2 }, ['1']);
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { lane: 'disk', bytes: 5 }),
      task(1, { lane: 'disk', bytes: 1 }),
      task(2, { after: [0] }),
      task(3, { after: [1] }),
    ]);
    const waiting = [0, 2, 3].map((id) => expect(dispatcher.settled(id)).rejects.toThrow('1 broke'));
    machine.finish();
    await Promise.all(waiting);
    await expect(dispatcher.settled(3)).rejects.toThrow('1 broke');
    dispatcher.add([task(4)]);
    machine.finish();
    expect(machine.started()).toEqual(['0', '1']);
  });

  it('keeps its first reason', async () => {
    const dispatcher = new Dispatcher(new VirtualMachine());
    dispatcher.add([task(0)]);
    const settled = dispatcher.settled(0);
    dispatcher.fail(new Error('first'));
    dispatcher.fail(new Error('second'));
    await expect(settled).rejects.toThrow('first');
  });

  it('does not tell a task under way of its end', () => {
    const machine = new VirtualMachine();
    const dispatcher = new Dispatcher(machine);
    let ended = 0;
    dispatcher.add([
      task(0, {
        onEnd: () => {
          ended += 1;
        },
      }),
    ]);
    dispatcher.fail(new Error('over'));
    machine.finish();
    expect(ended).toBe(0);
  });
});

describe('draining', () => {
  it('waits for the tasks under way and for no others', async () => {
    const machine = new VirtualMachine({ disk: 2 });
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([
      task(0, { lane: 'disk', bytes: 1 }),
      task(1, { lane: 'disk', bytes: 9 }),
      task(2, { after: [0] }),
    ]);
    let drained = false;
    const drain = dispatcher.drain().then(() => {
      drained = true;
    });
    machine.step();
    await Promise.resolve();
    expect(drained).toBe(false);
    machine.finish();
    await drain;
    expect(machine.started()).toEqual(['0', '1']);
  });

  it('ends at once when nothing is under way', async () => {
    await new Dispatcher(new VirtualMachine()).drain();
  });

  it('waits out a task that fails', async () => {
    const machine = new VirtualMachine({}, ['0']);
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([task(0)]);
    const drain = dispatcher.drain();
    machine.finish();
    await drain;
  });
});

describe('a lane that keeps the order', () => {
  const started = (tasks: readonly Task[], widths = { device: 3 }) => {
    const machine = new VirtualMachine(widths, [], ['device']);
    const dispatcher = new Dispatcher(machine);
    dispatcher.add(tasks);
    return { machine, sent: machine.started() };
  };

  it('is sent an expert behind another one before that has ended, and what comes behind both', () => {
    const { machine, sent } = started([task(0), task(1, { after: [0] }), task(2, { after: [1], bytes: 2 })]);
    expect(sent).toEqual(['0', '1', '2']);
    machine.finish();
    expect(machine.log.slice(3)).toEqual(['- 0', '- 1', '- 2']);
  });

  it('waits for what somebody is told of, for other kinds and lanes, and for slots', () => {
    const slots: SlotClass = { name: 'device.expert', count: 2 };
    const others: readonly [Partial<Task>, Partial<Task>][] = [
      [{ onEnd: () => {} }, {}],
      [{ kind: 'mix' }, {}],
      [{ lane: 'host' }, {}],
      [{}, { lane: 'host' }],
      [{}, { takes: slots }],
      [{}, { isDivisible: true }],
    ];
    for (const [first, second] of others)
      expect(started([task(0, first), task(1, { ...second, after: [0] })]).sent).toEqual(['0']);
  });

  it('waits for the weights of what follows, though the one before is on its way', () => {
    const { machine, sent } = started([
      task(0, { bytes: 4 }),
      task(1, { lane: 'link', bytes: 2 }),
      task(2, { after: [0, 1], bytes: 5 }),
    ]);
    expect(sent).toEqual(['1', '0']);
    machine.finish();
    expect(machine.log).toEqual(['+ 1', '+ 0', '- 1', '+ 2', '- 0', '- 2']);
  });

  it('ends what has nothing to do only behind all that it follows', () => {
    const { machine, sent } = started([
      task(0, { bytes: 3 }),
      task(1, { after: [0], isIdle: () => true }),
      task(2, { lane: 'host', after: [1] }),
    ]);
    expect(sent).toEqual(['0']);
    machine.finish();
    expect(machine.log).toEqual(['+ 0', '- 0', '+ 2', '- 2']);
  });
});
