import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type ParameterValue, parseAssignment, toTypeScript } from '../../kernel/src/notebook/literal.js';

describe('literals', () => {
  const cases: readonly (readonly [value: ParameterValue, source: string])[] = [
    [null, 'null'],
    [true, 'true'],
    [false, 'false'],
    [0, '0'],
    [-0, '-0'],
    [12, '12'],
    [-1.5, '-1.5'],
    [1e21, '1e+21'],
    [5e-324, '5e-324'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NEGATIVE_INFINITY, '-Infinity'],
    ['', '""'],
    ['plain', '"plain"'],
    ['"; process.exit() //', '"\\"; process.exit() //"'],
    ['two\nlines', '"two\\nlines"'],
    ['`a`', '"`a`"'],
    ['\u2028\u2029', '"\\u2028\\u2029"'],
    ['größer 🙂', '"größer 🙂"'],
    ['\ud800', '"\\ud800"'],
    [[], '[]'],
    [[1, 'a', null, [true]], '[1, "a", null, [true]]'],
    [{}, '{}'],
    [{ a: 1, 'b c': [2], 3: 'x' }, '{ "3": "x", a: 1, "b c": [2] }'],
    [JSON.parse('{"__proto__": 1}'), '{ ["__proto__"]: 1 }'],
  ];
  it.each(cases)('%j becomes %s', (value, source) => {
    expect(toTypeScript(value)).toBe(source);
    // Objects of another realm have other prototypes; their JSON and their keys are the same.
    const back = runInNewContext(`(${source})`);
    if (typeof value === 'object' && value !== null) {
      expect(JSON.stringify(back)).toBe(JSON.stringify(value));
      expect(Object.keys(back)).toEqual(Object.keys(value));
    } else expect(back).toBe(value);
  });

  it('refuses what is no value', () => {
    expect(() => toTypeScript(undefined as never)).toThrow('invalid parameter value: missing');
    expect(() => toTypeScript((() => 1) as never)).toThrow('invalid parameter value');
  });
});

describe('assignments on the command line', () => {
  const cases: readonly (readonly [text: string, name: string, value: ParameterValue])[] = [
    ['quick=true', 'quick', true],
    ['n=-12', 'n', -12],
    ['n=1e3', 'n', 1000],
    ['n=NaN', 'n', Number.NaN],
    ['n=-Infinity', 'n', Number.NEGATIVE_INFINITY],
    ['none=null', 'none', null],
    ['name=specoffload', 'name', 'specoffload'],
    ['name="12"', 'name', '12'],
    ['path=a=b', 'path', 'a=b'],
    ['empty=', 'empty', ''],
    ['list=[1, 2]', 'list', [1, 2]],
    ['n=1e-7', 'n', 1e-7],
    ['n=9007199254740991', 'n', 9007199254740991],
    ['text="12345678901234567890"', 'text', '12345678901234567890'],
    ['object={"a": 1}', 'object', { a: 1 }],
    ['key=constructor', 'key', 'constructor'],
  ];
  it.each(cases)('%s', (text, name, value) => {
    const [given, written] = parseAssignment(text);
    expect([given, written.toValue(given)]).toEqual([name, value]);
  });

  it.each([
    '12345678901234567890',
    '-9007199254740993',
    '1e999',
    '[1, 12345678901234567890]',
    '{"a": -1e999}',
  ])('%s would become another number, and is refused', (text) => {
    const [name, written] = parseAssignment(`n=${text}`);
    expect(() => written.toValue(name)).toThrow(/^invalid parameter n: \S+ would become another number/);
    expect(written.toText()).toBe(text);
  });

  it.each([
    ['2024', '2024'],
    ['true', 'true'],
    ['1.50', '1.50'],
    ['"2024"', '2024'],
    ['"a" and "b"', '"a" and "b"'],
    ['', ''],
  ])('%s is text where text is declared', (text, expected) => {
    expect(parseAssignment(`name=${text}`)[1].toText()).toBe(expected);
  });

  it.each(['quick', '=1', '', '1a=2', 'a b=1', 'a;b=1'])('%j is refused', (text) => {
    expect(() => parseAssignment(text)).toThrow(`invalid parameter: ${text}; expected key=value`);
  });
});
