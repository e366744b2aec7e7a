import { describe, expect, it } from 'vitest';
import { Dispatcher } from '../../engine/dist/run/dispatcher.js';
import { VirtualMachine, type VirtualMachineOptions } from '../../engine/dist/run/virtual-machine.js';
import {
  createTask,
  staysThere,
  type Task,
  type TaskBody,
  type TaskHead,
} from '../../engine/dist/schedule/task.js';
import { type LaneName, localTopology } from '../../engine/dist/topology/topology.js';

/** The local machine's lanes, which take one task at a time unless `widths` says otherwise. */
function lanes(widths: Readonly<Record<LaneName, number>> = {}) {
  return localTopology.lanes.map((lane) => ({ ...lane, width: widths[lane.name] ?? 1 }));
}

/** A task that takes as many seconds as its `bytes` say. */
function task(id: number, lane: LaneName, seconds: number, body: Partial<TaskBody> = {}): Task {
  const head: TaskHead = {
    id,
    lane,
    kind: 'expert',
    name: String(id),
    phase: 'decode',
    ...{ pass: 0, batch: 0, priority: 0, rows: 0 },
  };
  return createTask(head, { after: [], bytes: seconds, createOp: () => ({ kind: 'imagined' }), ...body });
}

/** Runs the tasks; who ended when, in the order of ending. */
async function run(tasks: readonly Task[], options: Partial<VirtualMachineOptions> = {}) {
  const machine = new VirtualMachine({
    costs: { secondsOf: ({ bytes }) => bytes, latencyOf: () => 0 },
    oracle: { accepts: () => true, chooseExperts: () => [], foreseeExperts: () => [] },
    lanes: lanes(),
    interruptsDraft: false,
    ...options,
  });
  const dispatcher = new Dispatcher(machine);
  dispatcher.add(tasks);
  await Promise.all(tasks.map(({ id }) => dispatcher.settled(id)));
  return dispatcher.spans.map(({ id, startSeconds, endSeconds }) => [id, startSeconds, endSeconds]);
}

describe('a virtual machine', () => {
  it('serves one task per lane at a time, by priority, and different lanes side by side', async () => {
    const spans = await run([
      task(0, 'device', 2),
      task(1, 'device', 1, { priority: 5 }),
      task(2, 'device', 1, { priority: 1 }),
      task(3, 'link', 3),
      task(4, 'host', 1, { after: [3] }),
    ]);
    expect(spans).toEqual([
      [0, 0, 2],
      [2, 2, 3],
      [3, 0, 3],
      [1, 3, 4],
      [4, 3, 4],
    ]);
  });

  it('takes another time for what it does while no other lane is at work, if the lane says so', async () => {
    const hurried = lanes().map((lane) => (lane.name === 'link' ? { ...lane, aloneFactor: 0.5 } : lane));
    const tasks = [
      task(1, 'link', 2), // nothing else is at work yet
      task(2, 'device', 4, { after: [1] }),
      task(3, 'host', 0.5, { after: [1] }),
      task(4, 'link', 2, { after: [3] }), // beside the device
      task(5, 'link', 2, { after: [2] }),
    ];
    expect(await run(tasks, { lanes: hurried })).toEqual([
      [1, 0, 1],
      [3, 1, 1.5],
      [4, 1.5, 3.5],
      [2, 1, 5],
      [5, 5, 6],
    ]);
    expect((await run(tasks)).at(-1)).toEqual([5, 6, 8]);
  });

  it('takes longer for weights that did not just come, if the lane says so', async () => {
    const cold = { secondsPerByte: 0.5, afterSeconds: 2 };
    const slower = lanes().map((lane) => (lane.name === 'device' ? { ...lane, cold } : lane));
    const read = (id: number, body: Partial<TaskBody>) => task(id, 'device', 2, body);
    const tasks = [
      task(1, 'link', 1, { kind: 'upload' }),
      task(2, 'link', 1, { kind: 'upload' }),
      read(3, { after: [1], broughtBy: 1 }), // at once
      read(4, { after: [2], broughtBy: 2 }), // a second after they came
      read(5, { after: [1], broughtBy: 2, priority: 1 }), // 3 seconds after
      read(6, { after: [1], broughtBy: staysThere, priority: 2 }),
      read(7, { after: [1], priority: 3 }), // no weights
    ];
    expect((await run(tasks, { lanes: slower })).slice(2)).toEqual([
      [3, 1, 3],
      [4, 3, 5],
      [5, 5, 8],
      [6, 8, 11],
      [7, 11, 13],
    ]);
    expect((await run(tasks)).at(-1)).toEqual([7, 9, 11]);
  });

  it('orders simultaneous ends by the number of the task, whatever order they started in', async () => {
    const spans = await run([
      task(7, 'device', 1),
      task(3, 'link', 1),
      task(5, 'host', 1),
      task(1, 'disk', 0.5),
      task(2, 'disk', 0.5),
    ]);
    expect(spans.map(([id]) => id)).toEqual([1, 2, 3, 5, 7]);
  });

  it('gives a lane that two tasks become ready for at once to the lower number', async () => {
    const after = { after: [1, 2] };
    const spans = await run([
      task(1, 'link', 1),
      task(2, 'host', 1),
      task(9, 'device', 1, after),
      task(4, 'device', 1, after),
    ]);
    expect(spans.slice(2)).toEqual([
      [4, 1, 2],
      [9, 2, 3],
    ]);
  });

  it('blocks on buffer slots: the second upload waits until the first one has been used', async () => {
    const takes = { name: 'device.expert', count: 1 };
    const spans = await run([
      task(0, 'link', 1, { takes }),
      task(1, 'link', 1, { takes }),
      task(2, 'device', 5, { after: [0], frees: [0] }),
      task(3, 'device', 1, { after: [1], frees: [1] }),
    ]);
    expect(spans).toEqual([
      [0, 0, 1],
      [2, 1, 6],
      [1, 6, 7],
      [3, 7, 8],
    ]);
  });

  it('stands still while somebody who was told of an end adds tasks', async () => {
    const machine = new VirtualMachine({
      costs: { secondsOf: ({ bytes }) => bytes, latencyOf: () => 0 },
      oracle: { accepts: () => true, chooseExperts: () => [], foreseeExperts: () => [] },
      lanes: lanes(),
      interruptsDraft: false,
    });
    const dispatcher = new Dispatcher(machine);
    dispatcher.add([task(0, 'host', 1), task(1, 'link', 10)]);
    await dispatcher.settled(0);
    await Promise.resolve();
    expect(machine.now()).toBe(1);
    dispatcher.add([task(2, 'host', 2)]);
    await dispatcher.settled(2);
    expect(machine.now()).toBe(3);
  });

  it('lets urgent work in between the pieces of a draft step, which ends so much later', async () => {
    const tasks = [
      task(0, 'device', 10, { isDivisible: true, priority: 9 }),
      task(1, 'link', 2),
      task(2, 'device', 3, { after: [1] }),
    ];
    const wide = lanes({ device: 2 });
    expect(await run(tasks, { interruptsDraft: true, lanes: wide })).toEqual([
      [1, 0, 2],
      [2, 2, 5],
      [0, 0, 13],
    ]);
    expect(await run(tasks, { interruptsDraft: false, lanes: wide }), 'a device that cannot').toEqual([
      [1, 0, 2],
      [0, 0, 10],
      [2, 10, 13],
    ]);
  });

  it('rests before each task: a gap where one had come meanwhile, longer where the lane has to be woken', async () => {
    const waiting = lanes({ device: 2 }).map((lane) =>
      lane.name === 'device' ? { ...lane, gapSeconds: 0.5, wakeSeconds: 2 } : lane,
    );
    const tasks = [
      task(0, 'device', 4),
      task(1, 'device', 1, { priority: 1 }),
      task(2, 'host', 1, { after: [1] }),
      task(3, 'device', 1, { after: [2] }),
      task(4, 'device', 1, { after: [3] }),
    ];
    expect(await run(tasks, { lanes: waiting })).toEqual([
      [0, 2, 6],
      [1, 6.5, 7.5],
      [2, 7.5, 8.5],
      [3, 10.5, 11.5],
      [4, 13.5, 14.5], // it waited for the lane's own last task, and nobody knew of it before
    ]);
  });

  it('rests as long between the pieces of a draft step', async () => {
    const waiting = lanes({ device: 2 }).map((lane) =>
      lane.name === 'device' ? { ...lane, gapSeconds: 0.5, wakeSeconds: 0 } : lane,
    );
    const tasks = [
      task(0, 'device', 10, { isDivisible: true, priority: 9 }),
      task(1, 'link', 2),
      task(2, 'device', 3, { after: [1] }),
    ];
    expect(await run(tasks, { interruptsDraft: true, lanes: waiting })).toEqual([
      [1, 0, 2],
      [2, 2.5, 5.5],
      [0, 0, 13.5],
    ]);
  });

  it('delivers late what has a latency, and works on meanwhile', async () => {
    const spans = await run(
      [task(0, 'device', 1), task(1, 'device', 1), task(2, 'host', 1, { after: [0] })],
      {
        costs: {
          secondsOf: ({ bytes }) => bytes,
          latencyOf: (priced) => ((priced as Task).id === 0 ? 5 : 0),
        },
        lanes: lanes({ device: 2 }),
      },
    );
    expect(spans).toEqual([
      [1, 1, 2],
      [0, 0, 1],
      [2, 6, 7],
    ]);
  });

  it('says so when nothing is left to do but somebody waits', async () => {
    let stalls = 0;
    const machine = new VirtualMachine({
      costs: { secondsOf: () => 1, latencyOf: () => 0 },
      oracle: { accepts: () => true, chooseExperts: () => [], foreseeExperts: () => [] },
      lanes: lanes(),
      interruptsDraft: false,
      onStall: () => {
        stalls += 1;
        dispatcher.fail(new Error('stalled'));
      },
    });
    const dispatcher = new Dispatcher(machine);
    const takes = { name: 'device.expert', count: 1 };
    dispatcher.add([task(0, 'link', 1, { takes }), task(1, 'link', 1, { takes })]); // nobody frees
    await expect(dispatcher.settled(1)).rejects.toThrow('stalled');
    expect(stalls).toBe(1);
  });
});
