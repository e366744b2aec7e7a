import { UserError, withJsonFields, withoutJsonField } from '@specoffload/input';
import { describe, expect, it } from 'vitest';

const original = `{
  "rms_norm_eps": 1e-05,
  "router_jitter_noise": 0.0,
  "rope_theta": 1000000.0,
  "big": 12345678901234567890,
  "nested": { "layers": 7.0, "list": [1.50, "a, b: {"] },
  "layers": 2,
  "text": "\\u00e9 \\"quoted\\" { , }"
}
`;

describe('withJsonFields', () => {
  it('changes what it is given, adds what is not there, and leaves every other character', () => {
    const changed = withJsonFields(original, { layers: 4, from: { name: 'a', parts: 1 } }, 'config.json');
    expect(changed).toBe(
      original
        .replace('"layers": 2', '"layers": 4')
        .replace(/\n}\n$/, ',\n  "from": {\n    "name": "a",\n    "parts": 1\n  }\n}\n'),
    );
  });

  it.each([
    ['{}', { a: 1 }, '{"a": 1}'],
    ['{ }\n', { a: 1 }, '{ "a": 1 }\n'],
    ['{"a":[1,{"b":2.0}],"b":3}', { b: 'x' }, '{"a":[1,{"b":2.0}],"b":"x"}'],
    ['{"a":{"c":1.0} , "b":3}', { a: null }, '{"a":null , "b":3}'],
    ['\ufeff{"a": 1.0}', { b: true }, '{"a": 1.0,"b": true}'],
    ['{"a": 1, "a": 2}', { a: 3 }, '{"a": 3, "a": 3}'],
    ['{"\\u0061": 1}', { a: 2 }, '{"\\u0061": 2}'],
    ['{"__proto__": 1.0}', { a: 2 }, '{"__proto__": 1.0,"a": 2}'],
    ['{"a": 1.0}', {}, '{"a": 1.0}'],
  ])('%j with %j', (text, fields, expected) => {
    expect(withJsonFields(text, fields, 'config.json')).toBe(expected);
  });

  it('refuses what is no JSON', () => {
    expect(() => withJsonFields('{"a":', {}, 'config.json')).toThrow(UserError);
  });
});

describe('withoutJsonField', () => {
  it.each([
    ['{\n  "a": 1,\n  "x": {"y": [1, 2]},\n  "b": 0.0\n}', '{\n  "a": 1,\n  "b": 0.0\n}'],
    ['{"x": "a, b", "b": 1e-05}', '{ "b": 1e-05}'],
    ['{"a": {"x": 1}, "x": 2}', '{"a": {"x": 1}}'],
    ['{ "x": 2 }', '{ }'],
    ['{"a": {"x": 1}}', '{"a": {"x": 1}}'],
    ['{"x": 1, "x": 2, "a": 3, "x": 4}', '{ "a": 3}'],
  ])('takes the field and its comma from %s', (text, expected) => {
    expect(withoutJsonField(text, 'x', 'a text')).toBe(expected);
  });

  it('gives back what a field was added to', () => {
    const text = '{\n  "a": 1.0,\n  "b": [2]\n}\n';
    expect(withoutJsonField(withJsonFields(text, { x: { y: 1 } }, 'a text'), 'x', 'a text')).toBe(text);
  });

  it('is for objects', () => {
    expect(() => withoutJsonField('[1]', 'x', 'a text')).toThrow('a text is no JSON object');
  });
});
