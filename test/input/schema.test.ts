import { describe, expect, expectTypeOf, it } from 'vitest';
import { type Checked, check, is, toJsonSchema, UserError } from '../../engine/input/src/index.js';

const machine = is.onlyFields({
  name: is.text,
  kind: is.oneOf(['big', 'small']),
  memory: is.fields({ deviceBytes: is.positive, hostBytes: is.orNull(is.amount) }),
  cores: is.orMissing(is.wholeFrom(1, 64)),
  rates: is.orMissing(is.mapOf(is.numberFrom(0, 1))),
  steps: is.orMissing(
    is.listOf(is.fields({ rows: is.wholeFrom(1) }), { least: 1, expected: 'a list of steps' }),
  ),
  value: is.orMissing(is.either('a text or a number', is.text, is.amount)),
  digest: is.orMissing(is.matching(/^[0-9a-f]{4}$/, 'four hex digits')),
  even: is.orMissing(is.that(is.wholeFrom(0), (value) => value % 2 === 0, 'an even number')),
});
const whole = { name: 'here', kind: 'big', memory: { deviceBytes: 1, hostBytes: null, more: 'x' } } as const;

describe('check', () => {
  it('returns what it was given, with fields that nobody named', () => {
    expect(check(machine, whole, 'm.json')).toEqual(whole);
    expectTypeOf<Checked<typeof machine>['cores']>().toEqualTypeOf<number | undefined>();
    expectTypeOf<Checked<typeof machine>['memory']['hostBytes']>().toEqualTypeOf<number | null>();
    expectTypeOf<Checked<typeof machine>['kind']>().toEqualTypeOf<'big' | 'small'>();
  });

  it.each<[string, unknown, string]>([
    ['no object', [], 'm.json: invalid content: []; expected an object'],
    ['a missing text', { ...whole, name: undefined }, 'm.json: invalid name: missing; expected a text'],
    ['a missing word', { name: 'x' }, 'm.json: invalid kind: missing; expected big or small'],
    ['a missing object', { name: 'x', kind: 'big' }, 'm.json: invalid memory: missing; expected an object'],
    ['an empty text', { ...whole, name: '' }, 'm.json: invalid name: ""; expected a text'],
    ['a list for an object', { ...whole, memory: [] }, 'm.json: invalid memory: []; expected an object'],
    [
      'a missing field of a field',
      { ...whole, memory: { deviceBytes: 1 } },
      'm.json: invalid memory.hostBytes: missing; expected a number of at least 0',
    ],
    [
      'a number that is none',
      { ...whole, memory: { deviceBytes: Number.NaN } },
      'm.json: invalid memory.deviceBytes: NaN; expected a number above 0',
    ],
    [
      'an infinite number',
      { ...whole, memory: { deviceBytes: Number.POSITIVE_INFINITY } },
      'm.json: invalid memory.deviceBytes: Infinity; expected a number above 0',
    ],
    ['part of a core', { ...whole, cores: 1.5 }, 'invalid cores: 1.5; expected a whole number from 1 to 64'],
    [
      'null for missing',
      { ...whole, cores: null },
      'invalid cores: null; expected a whole number from 1 to 64',
    ],
    [
      'one of a map',
      { ...whole, rates: { a: 1, b: 2 } },
      'invalid rates.b: 2; expected a number from 0 to 1',
    ],
    ['one of a list', { ...whole, steps: [{ rows: 0 }] }, 'invalid steps.0.rows: 0; expected a whole number'],
    ['an empty list', { ...whole, steps: [] }, 'invalid steps: []; expected a list of steps'],
    ['neither', { ...whole, value: [1] }, 'invalid value: [1]; expected a text or a number'],
    ['a pattern', { ...whole, digest: 'xyzw' }, 'invalid digest: "xyzw"; expected four hex digits'],
    ['a condition', { ...whole, even: 3 }, 'invalid even: 3; expected an even number'],
    [
      'a stray field',
      { ...whole, nam: 1 },
      'm.json: unknown field: nam; expected name, kind, memory, cores,',
    ],
  ])('says what is wrong with %s', (_, value, message) => {
    expect(() => check(machine, value, 'm.json')).toThrow(message);
  });

  it('says what to do, where somebody knows', () => {
    expect(() => check(is.text, 1, '', { remedy: 'write one' })).toThrow(
      'invalid content: 1; expected a text; write one',
    );
  });

  it('chooses by a word', () => {
    const either = is.variant('kind', { a: is.fields({ x: is.amount }), b: is.fields({ y: is.text }) });
    expect(check(either, { kind: 'a', x: 1 }, 'f')).toEqual({ kind: 'a', x: 1 });
    expect(() => check(either, { kind: 'b', x: 1 }, 'f')).toThrow('f: invalid y: missing; expected a text');
    expect(() => check(either, { kind: 'toString' }, 'f')).toThrow(
      'invalid kind: "toString"; expected a or b',
    );
    expect(() => check(either, null, 'f')).toThrow('f: invalid content: null; expected an object');
  });

  it('is not fooled by hostile names and shows none as it is', () => {
    const hostile = JSON.parse('{"__proto__": {"x": 1}, "a\\u001b[31m": -1}');
    expect(() => check(is.mapOf(is.amount), hostile, 'f')).toThrow('f: invalid a·[31m: -1;');
    const copy = check(is.mapOf(is.anything), hostile, 'f') as { x?: number };
    expect(copy.x).toBeUndefined();
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
  });

  it('refuses a field that throws when it is asked, wherever a map or a loose object meets it', () => {
    const trap = (name: string) =>
      Object.defineProperty({ a: 1 }, name, {
        enumerable: true,
        get: () => {
          throw new Error('was asked');
        },
      });
    for (const schema of [is.mapOf(is.amount), is.fields({ a: is.amount })])
      expect(() => check(schema, trap('x'), 'f')).toThrow('f computes its field "x"; expected plain data');
    expect(() => check(is.fields({ a: is.amount }), trap('x'), '')).toThrow('the value computes its field');
    expect(is.accepts(is.mapOf(is.amount), trap('x'))).toBe(false);
  });
});

it('keeps what a field means', () => {
  const seconds = is.described(is.amount, 's', 'prefill and decode');
  const result = is.fields({ result: is.orMissing(is.fields({ seconds })) });
  expect(is.factsAt(result, ['result', 'seconds'])).toMatchObject({
    ...{ unit: 's', meaning: 'prefill and decode', schema: is.amount },
  });
  expect(is.factsAt(result, ['result', 'minutes'])).toBeUndefined();
});

it('says in JSON Schema what a schema lets through', () => {
  const rows = is.named('rows', is.wholeFrom(1, 64));
  const schema = is.onlyFields({
    name: is.described(is.text, '', 'of the file'),
    rows,
    more: is.orMissing(is.listOf(rows, { least: 1 })),
    share: is.orElse(is.numberFrom(0, 1), 1),
    link: is.orNull(is.positive),
    caps: is.mapOf(is.either('a word or a flag', is.oneOf(['all', 'none']), is.flag)),
  });
  const rowsRef = { $ref: '#/$defs/rows' };
  expect(toJsonSchema(schema)).toEqual({
    type: 'object',
    additionalProperties: false,
    required: ['name', 'rows', 'link', 'caps'],
    properties: {
      name: { type: 'string', minLength: 1, description: 'of the file' },
      rows: rowsRef,
      more: { type: 'array', minItems: 1, items: rowsRef },
      share: { type: 'number', minimum: 0, maximum: 1, default: 1 },
      link: { anyOf: [{ type: 'number', exclusiveMinimum: 0 }, { type: 'null' }] },
      caps: {
        type: 'object',
        additionalProperties: { anyOf: [{ enum: ['all', 'none'] }, { type: 'boolean' }] },
      },
    },
    $defs: { rows: { type: 'integer', minimum: 1, maximum: 64 } },
  });
});

it('checks fields by their names, says where, and says what is wrong between two of them', () => {
  const schema = is.byName((name) => {
    if (name === 'stray') throw new UserError('stray is no name; expected another');
    return is.listOf<unknown>(name === 'text' ? is.text : is.amount, { most: 2, expected: 'at most 2' });
  });
  expect(check(schema, { text: ['a'], n: [1, 2] }, 'f')).toEqual({ text: ['a'], n: [1, 2] });
  expect(() => check(schema, { n: [1, -2] }, 'f')).toThrow(
    'f: invalid n.1: -2; expected a number of at least',
  );
  expect(() => check(schema, { n: [1, 2, 3] }, 'f')).toThrow('f: invalid n: [1,2,3]; expected at most 2');
  expect(() => check(schema, { stray: 1 }, 'f')).toThrow('f: stray is no name; expected another');
  expect(() => check(schema, [], 'f')).toThrow('f: invalid content: []; expected an object');
  const range = is.fields({ from: is.amount, to: is.amount });
  const ordered = is.that(
    range,
    ({ from, to }) => from <= to,
    ({ from }) => `at least ${from}`,
    'to',
  );
  expect(() => check(is.fields({ range: ordered }), { range: { from: 3, to: 2 } }, 'f')).toThrow(
    'f: invalid range.to: 2; expected at least 3',
  );
});
