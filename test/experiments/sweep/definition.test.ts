import { describe, expect, it } from 'vitest';
import { expandPoints } from '../../../experiments/src/definitions/expand.js';
import { parseDefinition, toQuick } from '../../../experiments/src/definitions/parse.js';

const good = {
  name: 'mine',
  question: 'Does it work?',
  kind: 'simulated',
  settings: { machine: 'env1', deviceMemory: '24GB' },
  axes: {
    system: [
      { label: 'FlexGen', settings: { strategy: 'flexgen' } },
      { label: 'ours', settings: { strategy: 'specoffload' } },
    ],
    share: [0.25, 0.5],
    decodeBatch: [64, 128],
  },
  cases: [{ when: { system: 'FlexGen', share: 0.5 }, settings: { microBatch: 8 } }],
  derived: { prefillBatch: 'ceil(decodeBatch * share)', double: 'prefillBatch * 2' },
  filters: ['system == "ours" or double < 100'],
  baseline: { system: 'FlexGen' },
  quick: { axes: { decodeBatch: [64] }, seeds: [7] },
} as const;

const parse = (changes: object) => parseDefinition({ ...good, ...changes }, 'mine.json');

describe('expandPoints', () => {
  it('makes every combination in order, adds cases and derived settings, and filters', () => {
    const points = [...expandPoints(parse({}))];
    expect(points.map(({ axes }) => Object.values(axes))).toEqual([
      ['FlexGen', 0.25, 64],
      ['FlexGen', 0.25, 128],
      ['FlexGen', 0.5, 64],
      ['ours', 0.25, 64],
      ['ours', 0.25, 128],
      ['ours', 0.5, 64],
      ['ours', 0.5, 128],
    ]);
    expect(points[2].settings).toEqual({
      ...{ machine: 'env1', deviceMemory: '24GB', strategy: 'flexgen', decodeBatch: 64 },
      ...{ microBatch: 8, prefillBatch: 32 },
    });
    expect(points[3].settings).not.toHaveProperty('microBatch');
  });

  it('has one point without axes', () => {
    const { cases: _c, derived: _d, filters: _f, baseline: _b, quick: _q, ...rest } = good;
    const [point, ...others] = expandPoints(parseDefinition({ ...rest, axes: {} }, 'mine.json'));
    expect(point!.axes).toEqual({});
    expect(others).toEqual([]);
  });

  it('merges the quick form by name', () => {
    const quick = toQuick(parse({}));
    expect([...expandPoints(quick)]).toHaveLength(4);
    expect(quick.seeds).toEqual([7]);
    expect(Object.keys(quick.axes)).toEqual(Object.keys(good.axes));
  });
});

describe('parseDefinition', () => {
  // Each case: what is changed, and the sentence that refuses it.
  it.each<[string, object, string]>([
    ['unknown field', { axis: {} }, 'mine.json: unknown field: axis; expected name, question,'],
    ['bad name', { name: 'My Experiment' }, 'invalid name: "My Experiment"; expected small letters'],
    ['path as a name', { name: '../x' }, 'invalid name: "../x"'],
    ['no question', { question: '' }, 'invalid question'],
    ['kind', { kind: 'guessed' }, 'invalid kind: "guessed"; expected measured or simulated'],
    ['metric', { metric: 'speed' }, 'invalid metric: "speed"; expected tokensPerSecond,'],
    ['lowerIsBetter', { lowerIsBetter: 'yes' }, 'invalid lowerIsBetter: "yes"'],
    ['unknown setting', { settings: { decodebatch: 3 } }, 'unknown setting: decodebatch; expected one of'],
    [
      'wrong type',
      { settings: { prompts: '8' } },
      'invalid settings.prompts: "8"; expected a whole number from 1',
    ],
    [
      'policy out of range',
      { settings: { candidates: 99 } },
      'invalid settings.candidates: 99; expected a whole',
    ],
    [
      'policy word',
      { settings: { cache: 'disk' } },
      'invalid settings.cache: "disk"; expected host or device',
    ],
    [
      'strategy',
      { settings: { strategy: 'vllm' } },
      'invalid settings.strategy: "vllm"; expected none, serial',
    ],
    ['size', { settings: { deviceMemory: '24Gb' } }, 'invalid deviceMemory: 24Gb; expected a size'],
    ['acceptance', { settings: { acceptance: 1.2 } }, 'invalid settings.acceptance: 1.2; expected a rate'],
    [
      'unknown rate',
      { settings: { 'machine.link.speed': 1 } },
      'unknown rate of a machine: "machine.link.speed"; expected one of machine.disk.overheadSeconds, machine.disk.bytesPerSecond, machine.link.',
    ],
    [
      'rate of no axis',
      { axes: { 'machine.link.speed': [1] } },
      'unknown rate of a machine: "machine.link.speed"; ex',
    ],
    [
      'rate of an axis',
      { axes: { 'machine.gpu.speed': [1, 2] } },
      'unknown rate of a machine: "machine.gpu.speed"; ex',
    ],
    [
      'derived rate',
      { derived: { 'machine.disk.speed': '1' } },
      'unknown rate of a machine: "machine.disk.speed"; ex',
    ],
    ['prototype', { settings: JSON.parse('{"__proto__": 1}') }, 'unknown setting: __proto__'],
    ['measured only', { settings: { linkCap: '1GB/s' } }, 'linkCap is no setting of a simulated point'],
    [
      'arithmetic',
      { kind: 'measured', settings: { hostArithmeticCap: '3GB/s' } },
      'invalid hostArithmeticCap',
    ],
    [
      'factor',
      { kind: 'measured', settings: { deviceCacheFactor: 0.5 } },
      'invalid settings.deviceCacheFactor: 0.5',
    ],
    [
      'plan',
      { kind: 'measured', settings: { planned: 'yes' } },
      'invalid settings.planned: "yes"; expected with draft, with any drafter or without',
    ],
    [
      'reads of a prediction',
      { settings: { readsInFlight: 4 } },
      'readsInFlight is no setting of a simulated point',
    ],
    ['empty axis', { axes: { candidates: [] } }, 'invalid axes.candidates: []; expected a list of 1 to'],
    ['axis value', { axes: { candidates: [2, 'x'] } }, 'invalid axes.candidates.1: "x"; expected a whole'],
    ['axis name', { axes: { 'my axis': [1] } }, 'invalid axis: "my axis"; expected a setting, or'],
    ['reserved axis', { axes: { min: [1] } }, 'invalid axis: "min"; expected another name'],
    [
      'an axis without effect',
      { axes: { batch: [8, 64] }, cases: [], derived: {}, filters: [], baseline: {}, quick: {} },
      'axis batch changes nothing: it is no setting, and no derived setting or case reads it; expected one',
    ],
    [
      'twice',
      { axes: { candidates: [2, 4, 2] } },
      'invalid axes.candidates: [2,4,2]; expected different values, but 2 is',
    ],
    ['choice', { axes: { a: [{ label: 'x' }] } }, 'invalid axes.a.0.settings: missing; expected an object'],
    ['choice setting', { axes: { a: [{ label: 'x', settings: { b: 1 } }] } }, 'unknown setting: b'],
    ['null value', { axes: { a: [null] } }, 'invalid axes.a.0: null; expected a text, a number,'],
    [
      'case axis',
      { cases: [{ when: { x: 1 }, settings: {} }] },
      'unknown field: cases.0.when.x; expected system',
    ],
    ['derived name', { derived: { 'a b': '1' } }, 'invalid derived: "a b"'],
    ['derived reaches out', { derived: { prompts: 'process.exit(1)' } }, 'invalid derived.prompts'],
    ['derived value', { derived: { prompts: 'decodeBatch / 3', double: '1' } }, 'invalid prompts: 21.33'],
    ['filter', { filters: ['decodeBatch = 3'] }, 'invalid filters[0]: decodeBatch = 3; it contains an assi'],
    ['filter of no truth', { filters: ['decodeBatch'] }, 'it gives 64, expected true or false'],
    ['nothing left', { filters: ['decodeBatch > 999'] }, 'the filters leave no point: decodeBatch > 999'],
    ['nothing left in quick', { quick: { filters: ['false'] } }, 'the filters leave no point: false'],
    ['repeats', { repeats: 3 }, 'invalid repeats: 3; expected 1: a prediction comes out the same'],
    ['seeds', { seeds: [1, 1] }, 'invalid seeds: [1,1]; expected a list of different whole numbers'],
    ['baseline', { baseline: { system: 'Orca' } }, 'invalid baseline.system: "Orca"; expected FlexGen or'],
    ['quick axis', { quick: { axes: { other: [1] } } }, 'unknown field: quick.axes.other; expected system,'],
    ['quick field', { quick: { name: 'x' } }, 'unknown field: quick.name; expected filters,'],
    [
      'too many',
      { axes: tooMany(), cases: [], derived: {}, filters: [], baseline: {}, quick: {} },
      'combinations; expected at most',
    ],
  ])('refuses %s', (_what, changes, message) => {
    expect(() => parse(changes)).toThrow(message);
  });

  it.each([null, [], 'x', 3])('refuses %j', (input) => {
    expect(() => parseDefinition(input, 'mine.json')).toThrow('mine.json: invalid content');
  });
});

function tooMany() {
  const values = Array.from({ length: 101 }, (_, i) => i);
  return { a: values, b: values, c: values };
}
