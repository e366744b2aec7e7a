import { describe, expect, it } from 'vitest';
import { assertPlain, isDeeperThan, parseJson, UserError } from '../../engine/input/src/index.js';

describe('parseJson', () => {
  it('reads JSON, with a byte-order mark or without', () => {
    expect(parseJson('{"a": [1, "[[["]}', 'x')).toEqual({ a: [1, '[[['] });
    expect(parseJson('\ufeff[1]', 'x')).toEqual([1]);
  });

  it.each([
    ['what is none', '{"a"', {}, 'x.json is not valid JSON'],
    ['an empty file', '', {}, 'x.json is not valid JSON'],
    ['a million lists', '['.repeat(1e6), {}, 'x.json nests lists and objects more than 100 deep'],
    ['a list too deep', '[[[1]]]', { maxDepth: 2 }, 'more than 2 deep'],
    ['objects too deep', '{"a":{"b":1}}', { maxDepth: 1 }, 'more than 1 deep'],
    ['a text too long', '[1, 2, 3]', { maxLength: 5 }, 'x.json has 9 characters; expected at most 5'],
  ])('refuses %s in one sentence', (_what, text, limits, message) => {
    const parse = () => parseJson(text, 'x.json', limits, 'mend it');
    expect(parse).toThrow(UserError);
    expect(parse).toThrow(message);
    expect(parse).toThrow(/; mend it$/);
  });

  it('names a file of any name on one line', () => {
    expect(() => parseJson('', 'a\u001b[1m\nb')).toThrow(/^a·\[1m·b is not valid JSON/);
  });
});

describe('isDeeperThan', () => {
  it.each([
    ['[[]]', 2, false],
    ['[[]]', 1, true],
    ['[[], [], {}]', 2, false],
    ['["[[[\\"[[["]', 1, false],
    ['["a\\\\", [[]]]', 2, true],
    ['}}}{{', 1, false],
  ])('%s, %i: %s', (text, depth, expected) => {
    expect(isDeeperThan(text, depth)).toBe(expected);
  });
});

describe('assertPlain', () => {
  const circle: unknown[] = [];
  circle.push(circle);

  it.each([
    [
      'a getter',
      { a: [Object.defineProperty({}, 'b', { enumerable: true, get: () => expect.unreachable() })] },
    ],
    ['a proxy', [new Proxy({}, { ownKeys: () => expect.unreachable() })]],
    ['a circle', circle],
  ])('refuses %s without calling it', (_what, value) => {
    expect(() => assertPlain(value, 'x')).toThrow(UserError);
  });

  it('lets data pass', () => {
    assertPlain({ a: [1, null, { b: 'x' }], c: undefined, d: () => {} }, 'x');
  });
});
