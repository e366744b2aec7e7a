import { flattenMachine, parseMachineModel } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';

const file = {
  ...{ schema: 2, name: 'm', description: 'd', formats: 'bf16' },
  memories: [
    { name: 'disk', bytes: '1TB' },
    { name: 'host', bytes: '64GiB', reservedBytes: '4GiB', pageCache: true },
    { name: 'device', bytes: { value: '24GiB', source: 'data sheet', assumed: true } },
  ],
  lanes: [
    { name: 'disk', moves: { from: 'disk', to: 'host' }, bytesPerSecond: '3.5GB/s' },
    {
      ...{ name: 'link', moves: { from: 'host', to: 'device' }, bytesPerSecond: 12e9 },
      ...{ overheadSeconds: '20us', width: 3, variability: 0.1 },
    },
    { name: 'host', computesOn: 'host', arithmetic: '1TFLOP/s', memoryBytesPerSecond: '50GB/s' },
    {
      ...{ name: 'device', computesOn: 'device', interruptsDraft: true, memoryBytesPerSecond: '1TB/s' },
      arithmetic: {
        value: [
          [1, '1TFLOP/s'],
          [64, 1e14],
        ],
        source: 'measured',
      },
      kinds: { expert: { overheadSeconds: '1ms' } },
    },
  ],
};

const constant = (value: unknown) => ({ value, source: 'test' });

/** As files were written before memories and lanes were lists. */
const compute = {
  ...{ overheadSeconds: constant(0), secondsPerRow: constant(0), latencySeconds: constant(0) },
  ...{ memoryBytesPerSecond: constant(1e11), cacheBytesPerSecond: constant(2e10) },
  ...{ scoreFlopsPerSecond: constant(1e11), arithmetic: { values: [[1, 1e9]], source: 'test' } },
};
const first = {
  ...{ schema: 1, name: 'm', description: 'd', formats: 'bf16', interruptsDraft: true },
  disk: { overheadSeconds: constant(0), bytesPerSecond: constant(1e9) },
  link: {
    ...{ overheadSeconds: constant(0), bytesPerSecond: constant(1e9) },
    ...{ pageableBytesPerSecond: constant(5e8), cacheBytesPerSecond: constant(8e8) },
  },
  host: compute,
  device: { ...compute, kinds: { expert: { overheadSeconds: constant(1e-3) } } },
  memory: { deviceBytes: constant(1e9), hostBytes: constant(2e9), diskBytes: constant(3e9) },
};

describe('a machine file', () => {
  it('is lists of memories and lanes, of numbers and of texts with their units', () => {
    const { memories, lanes } = parseMachineModel(file, 'm.json');
    expect(memories).toEqual([
      { name: 'disk', bytes: 1e12 },
      { name: 'host', bytes: 60 * 2 ** 30, hasPageCache: true },
      { name: 'device', bytes: 24 * 2 ** 30 },
    ]);
    expect(lanes[1]).toEqual({
      ...{ name: 'link', moves: { from: 'host', to: 'device' }, width: 3, variability: 0.1 },
      ...{ overheadSeconds: 2e-5, bytesPerSecond: 12e9 },
    });
    expect(lanes[3]).toMatchObject({
      kinds: { expert: { overheadSeconds: 1e-3 } },
      arithmetic: [
        [1, 1e12],
        [64, 1e14],
      ],
    });
  });

  it('may leave out times that are none, and what attention reaches', () => {
    expect(parseMachineModel(file, 'm.json').lanes[2]).toEqual({
      ...{ name: 'host', computesOn: 'host', width: 1, variability: 0, interruptsDraft: false, kinds: {} },
      ...{ overheadSeconds: 0, secondsPerRow: 0, latencySeconds: 0, arithmetic: [[1, 1e12]] },
      ...{ memoryBytesPerSecond: 50e9, cacheBytesPerSecond: 50e9, scoreFlopsPerSecond: 1e12 },
    });
  });

  it('of the first schema is read as lists', () => {
    const cacheTraffic = { fixed: constant(3), perHead: constant(2) };
    const machine = parseMachineModel(
      {
        ...first,
        disk: { ...first.disk, pageableBytesPerSecond: constant(5e8) },
        link: { ...first.link, cacheTraffic },
        laneWidth: { device: 2 },
        variability: { link: constant(0.2) },
      },
      'm.json',
    );
    expect(flattenMachine(machine)).toMatchObject({
      disk: { bytesPerSecond: 1e9, pageableBytesPerSecond: 5e8 },
      link: { cacheTraffic: { fixed: 3, perHead: 2 } },
      host: { arithmetic: [[1, 1e9]], cacheBytesPerSecond: 2e10 },
      device: { kinds: { expert: { overheadSeconds: 1e-3 } } },
      laneWidth: { disk: 1, link: 1, host: 1, device: 2 },
      variability: { disk: 0, link: 0.2, host: 0, device: 0 },
      memory: { deviceBytes: 1e9, hostBytes: 2e9, diskBytes: 3e9, hasPageCache: true },
      interruptsDraft: true,
    });
    expect(flattenMachine(parseMachineModel(first, 'm.json')).memory).not.toHaveProperty('hasPageCache');
  });

  const changed = (name: string) => (changes: object) => ({
    lanes: file.lanes.map((lane) => (lane.name === name ? { ...lane, ...changes } : lane)),
  });
  const [disk, link, host, device] = [changed('disk'), changed('link'), changed('host'), changed('device')];
  const memory = (changes: object) => ({
    memories: [...file.memories.slice(0, 2), { ...file.memories[2], ...changes }],
  });

  it.each<[object, string]>([
    [
      disk({ bytesPerSecond: undefined }),
      'invalid disk.bytesPerSecond: missing; expected a number from 1000000 to',
    ],
    [
      disk({ bytesPerSecond: '3.5Gb/s' }),
      'invalid disk.bytesPerSecond: "3.5Gb/s"; expected a number from 1000000 to 100000000000000 (bytes per second) or a text such as 16GB/s; correct it or measure it with specoffload profile',
    ],
    [
      disk({ bytesPerSecond: constant(3.5) }),
      'invalid disk.bytesPerSecond.value: 3.5; expected a number from',
    ],
    [
      disk({ bytesPerSecond: { value: 1e9 } }),
      'invalid disk.bytesPerSecond.source: missing; expected a text',
    ],
    [
      disk({ bytesPerSecond: { ...constant(1e9), sauce: 1 } }),
      'unknown field: disk.bytesPerSecond.sauce; expected value, source or assumed',
    ],
    [
      disk({ pageableBytesPerSecond: 1 }),
      'invalid disk.pageableBytesPerSecond: 1; expected a number from 1000000',
    ],
    [
      disk({ moves: { from: 'disk', to: 'ram' } }),
      'invalid disk.moves.to: "ram"; expected a memory: disk, host or device',
    ],
    [disk({ moves: { from: 'disk', to: 'disk' } }), 'expected two different memories'],
    [disk({ moves: undefined }), 'expected a lane with "moves" or "computesOn"'],
    [disk({ name: 'memory' }), 'invalid lanes.0.name: "memory"; expected another name'],
    [disk({ name: 'a.b' }), 'invalid lanes.0.name: "a.b"; expected a name of letters, digits, - and _'],
    [disk({ name: 'link' }), 'there are two of lane link; give one of them another name'],
    [
      link({ latencySeconds: 0 }),
      'unknown field: link.latencySeconds; expected name, serves, variability, gapSeconds, wakeSeconds, aloneFactor, cold, width, moves,',
    ],
    [
      link({ cold: { secondsPerByte: 1, afterSeconds: 0.002 } }),
      'invalid link.cold.secondsPerByte: 1; expected a number from 0 to 0.000001 (seconds per byte)',
    ],
    [link({ cold: { secondsPerByte: 1e-10 } }), 'invalid link.cold.afterSeconds: missing; expected a number'],
    [link({ width: 0 }), 'invalid link.width: 0; expected a whole number from 1 to 64'],
    [
      link({ variability: 9 }),
      'invalid link.variability: 9; expected a number from 0 to 3 (standard deviation of the',
    ],
    [
      host({ arithmetic: undefined }),
      'invalid host.arithmetic: missing; expected a rate such as 165TFLOP/s, or pairs',
    ],
    [
      host({
        arithmetic: [
          [2, 1e9],
          [1, 1e9],
        ],
      }),
      'invalid host.arithmetic: [[2,1000000000],[1,1000000000]]; expected a rate such as 165TFLOP/s, or pairs of ascending rows',
    ],
    [host({ cacheTraffic: { fixed: 3 } }), 'invalid host.cacheTraffic.perHead: missing; expected a number'],
    [
      host({ cacheTraffic: { fixed: -1, perHead: 0 } }),
      'invalid host.cacheTraffic.fixed: -1; expected a number from 0 to 1000 (bytes moved per byte)',
    ],
    [host({ serves: ['dance'] }), 'invalid host.serves.0: "dance"; expected load, upload'],
    [device({ interruptsDraft: 'yes' }), 'invalid device.interruptsDraft: "yes"; expected true or false'],
    [
      device({ kinds: { expert: { speed: 1 } } }),
      'unknown field: device.kinds.expert.speed; expected overheadSeconds,',
    ],
    [
      device({ kinds: JSON.parse('{"__proto__": {"overheadSeconds": 1}}') }),
      'unknown field: device.kinds.__proto__; expected load, upload',
    ],
    [memory({ bytes: Number.NaN }), 'm.json, memories: invalid device.bytes: NaN; expected a number'],
    [memory({ reservedBytes: '24GiB' }), 'expected more bytes than are reserved'],
    [
      memory({ granularityBytes: 5000 }),
      'invalid device.granularityBytes: 5000; expected a multiple of 4096',
    ],
    [
      memory({ swap: 1 }),
      'm.json, memories: unknown field: device.swap; expected name, bytes, reservedBytes, granularityBytes, pageCache or idleWatts',
    ],
    [memory({ name: 'gpu' }), 'm.json: there is no memory device among disk, host or gpu; add it'],
    [
      { formats: 'int4' },
      'invalid formats: "int4"; expected fp32, bf16, bf16-beside-fp32, bf16-planned, vulkan, vulkan-staged, fp32-unbounded, cpu or cpu-unbounded',
    ],
    [
      { schema: 3 },
      'm.json: invalid schema: 3; expected 1 or 2; correct it or measure it with specoffload profile',
    ],
    [{ lanes: 7 }, 'invalid lanes: 7; expected a list'],
    [{ memories: undefined }, 'invalid memories: missing; expected a list'],
    [
      { gpu: 1 },
      'unknown field: gpu; expected schema, name, description, formats, memories, lanes, crossbars, sheet, measuredUnder, pace or measuredBy',
    ],
    [{ measuredUnder: { x: 0 } }, 'invalid measuredUnder.x: 0; expected a number above 0'],
  ])('with %o is refused', (changes, message) => {
    expect(() => parseMachineModel({ ...file, ...changes }, 'm.json')).toThrow(message);
  });

  it.each<[object, string]>([
    [{ disk: {} }, 'invalid disk.bytesPerSecond: missing; expected a number'],
    [{ disk: 7 }, 'invalid disk: 7; expected an object'],
    [{ laneWidth: { gpu: 1 } }, 'unknown field: laneWidth.gpu; expected disk, link, host or device'],
    [{ lanewidth: { disk: 2 } }, 'unknown field: lanewidth; expected schema, name'],
    [{ memory: { ...first.memory, hostBytes: undefined } }, 'm.json, memories: invalid host.bytes: missing'],
    [{ interruptsDraft: 'yes' }, 'invalid host.interruptsDraft: "yes"; expected true or false'],
  ])('of the first schema with %o is refused', (changes, message) => {
    expect(() => parseMachineModel({ ...first, ...changes }, 'm.json')).toThrow(message);
  });
});
