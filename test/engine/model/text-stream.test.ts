import { createRandom, loadTokenizer, StopStrings, TextStream, type Tokenizer } from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { pairPaths } from '../../../experiments/src/paths.js';
import { integer, pick } from '../draw.js';

const pieces = ['a', ' the', 'é', '🙂', '日本', '\n', '  ', '—', 'naïve ', '👩‍👩‍👧', '\u0301', 'end.'];

describe('text that comes token by token', () => {
  const random = createRandom(1, 'texts');
  let tokenizer: Tokenizer;

  beforeAll(async () => {
    tokenizer = (await loadTokenizer(pairPaths.target))!;
  });

  it('is in the end the text of all tokens, and holds no part of a character before', () => {
    for (let round = 0; round < 40; round += 1) {
      const text = Array.from({ length: integer(random, 1, 12) }, () => pick(random, pieces)).join('');
      const ids = tokenizer.encode(text);
      const before = round % 2 === 0 ? [] : tokenizer.encode('Some words before');
      const stream = new TextStream(tokenizer, before);
      const told = ids.map((id) => stream.push(id));
      expect(told.join('')).not.toContain('\ufffd');
      expect([...told, stream.end()].join('')).toBe(text);
    }
  });

  it('tells of bytes that are no character once it is sure of that', () => {
    const ids = tokenizer.encode('日'); // three bytes, three tokens
    const [first] = ids;
    const stream = new TextStream(tokenizer);
    expect(stream.push(first!)).toBe('');
    expect(stream.push(tokenizer.encode('a')[0]!)).toBe('\ufffda');
    const garbage = Array.from({ length: 80 }, () => first!);
    const told = garbage.map((id) => stream.push(id)).join('');
    expect(told.length).toBeGreaterThan(40);
    expect(told + stream.end()).toBe(tokenizer.decode(garbage));
  });

  it('keeps the space that a decoder takes from the beginning of a text', () => {
    const words = ['▁so', '▁be', '▁it'];
    const decode = (ids: readonly number[]) =>
      ids
        .map((id) => words[id])
        .join('')
        .replaceAll('▁', ' ')
        .slice(1);
    const stream = new TextStream({ decode }, [0]);
    expect([stream.push(1), stream.push(2), stream.end()]).toEqual([' be', ' it', '']);
  });

  it('ends where its last character is cut', () => {
    const ids = tokenizer.encode('x🙂').slice(0, -1);
    const stream = new TextStream(tokenizer);
    expect(ids.map((id) => stream.push(id)).join('')).toBe('x');
    expect(stream.end()).toContain('\ufffd');
  });
});

describe('a stop string', () => {
  it('ends the text before it, however it is cut into pieces', () => {
    const random = createRandom(2, 'stops');
    for (let round = 0; round < 200; round += 1) {
      const text = Array.from({ length: integer(random, 0, 30) }, () => pick(random, ['a', 'b', '\n'])).join(
        '',
      );
      const stops = Array.from({ length: integer(random, 0, 2) }, () =>
        Array.from({ length: integer(random, 1, 4) }, () => pick(random, ['a', 'b', '\n'])).join(''),
      );
      const cut = new StopStrings(stops);
      let told = '';
      let isStopped = false;
      for (let at = 0; at < text.length && !isStopped; ) {
        const end = at + integer(random, 1, 5);
        const piece = cut.push(text.slice(at, end));
        told += piece.text;
        isStopped = piece.isStopped;
        at = end;
        const known = text.slice(0, at);
        // Nothing is held back that can't begin a stop string.
        expect(isStopped || known.length - told.length < 4).toBe(true);
      }
      if (!isStopped) told += cut.end();
      const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
      expect(isStopped).toBe(places.length > 0);
      expect(told, JSON.stringify({ text, stops })).toBe(
        places.length > 0 ? text.slice(0, Math.min(...places)) : text,
      );
    }
  });
});
