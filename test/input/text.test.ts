import { describe, expect, it } from 'vitest';
import {
  printable,
  printableJson,
  printableLines,
  quote,
  reasonOf,
  UserError,
} from '../../engine/input/src/index.js';

const esc = '\u001b';

/** Nested so deep that a recursion over it ends the stack. */
function nest(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

describe('what a terminal would obey', () => {
  it.each([
    ['an escape sequence', `${esc}[2Jgone`, '·[2Jgone'],
    ['the same in one character', '\u009b2Jgone', '·2Jgone'],
    ['a bell, a delete, a null', '\u0007\u007f\0', '···'],
    ['a carriage return over a line', 'fine\rbroken', 'fine·broken'],
    ['letters written backwards', 'a\u202eb', 'a·b'],
    ['a line break of another alphabet', 'a\u2028b', 'a·b'],
    ['half a character', 'a\ud800b', 'a·b'],
    ['letters that nobody sees', 'a\u{e0041}\u200bb', 'a··b'],
  ])('%s becomes dots', (_what, text, expected) => {
    expect(printable(text)).toBe(expected);
  });

  it.each(['Ångström, 模型, 🙂', 'a  b'])('leaves %s as it is', (text) => {
    expect(printable(text)).toBe(text);
  });

  it('keeps lines and tabs of a text of several lines, and nothing else', () => {
    expect(printableLines(`a\n\tb${esc}[1m\r`)).toBe('a\n\tb·[1m·');
  });

  it('is escaped in a document, which still says the same', () => {
    const value = { name: `\u009b2J${esc}]0;x\u0007\u202e\u{e0041}` };
    const json = printableJson(JSON.stringify(value, null, 2));
    expect(JSON.parse(json)).toEqual(value);
    expect(json).not.toMatch(/[^\n -~]/);
  });
});

describe('quote', () => {
  it.each([
    ['a text', 'x', '"x"'],
    ['a text with quotes', 'say "x"', '"say \\"x\\""'],
    ['a number', 1.5, '1.5'],
    ['what is no number', Number.NaN, 'NaN'],
    ['null', null, 'null'],
    ['nothing', undefined, 'missing'],
    ['a list', [1, 'a', null, undefined], '[1,"a",null,null]'],
    ['an object', { a: [true], b: undefined }, '{"a":[true]}'],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['a function', () => {}, 'a function'],
    ['a symbol', Symbol('x'), 'a symbol'],
    ['a proxy', new Proxy({}, { ownKeys: () => expect.unreachable() }), 'a proxy'],
    ['a large whole number', 2n ** 70n, '1180591620717411303424'],
    ['a huge whole number', 10n ** 5000n, 'a huge whole number'],
    ['escapes', `${esc}\u009b`, '"\\u001b·"'],
  ])('spells %s', (_what, value, expected) => {
    expect(quote(value)).toBe(expected);
  });

  it('calls nothing of the value', () => {
    const hostile = {
      get a() {
        return expect.unreachable();
      },
      toString: () => expect.unreachable(),
      toJSON: () => expect.unreachable(),
      [Symbol.toPrimitive]: () => expect.unreachable(),
    };
    expect(quote(hostile)).toBe('{"toString":a function,"toJSON":a function}');
  });

  it.each([
    ['deep', nest(200_000)],
    ['wide', Array.from({ length: 1e6 }, (_, i) => i)],
    ['sparse', Object.assign([], { length: 4e9 })],
    ['long', 'x'.repeat(1e6)],
    ['circular', Object.assign([1], { 0: null }).concat()],
  ])('cuts a %s value short', (_what, value) => {
    const start = performance.now();
    expect(quote(value, 40).length).toBeLessThanOrEqual(40);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it('cuts a value that contains itself', () => {
    const value: unknown[] = [];
    value.push(value);
    expect(quote(value)).toBe('[[[[[[[[[...]]]]]]]]]');
  });
});

describe('errors', () => {
  it('are one line that a terminal does not obey, whoever wrote a part of them', () => {
    const error = new UserError(`cannot read a\nspecoffload: all is well${esc}[2J`);
    expect(error.message).toBe('cannot read a·specoffload: all is well·[2J');
    expect(error.stack).not.toContain(esc);
  });

  it.each([
    ['an error', new Error(`a\n${esc}`), 'a··'],
    ['a text', 'why not', '"why not"'],
    ['nothing', undefined, 'missing'],
    [
      'a message that throws',
      Object.defineProperty(new Error(), 'message', { get: () => expect.unreachable() }),
      'something that cannot be read',
    ],
    ['a proxy that throws', new Proxy({}, { getPrototypeOf: () => expect.unreachable() }), 'a proxy'],
  ])('say their reason: %s', (_what, thrown, expected) => {
    expect(reasonOf(thrown)).toBe(expected);
  });
});
