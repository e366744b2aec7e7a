import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { largest, smallest } from '@specoffload/engine';
import { expect, it } from 'vitest';

it('finds both ends of more values than a call takes arguments', () => {
  const values = Array.from({ length: 1_000_000 }, (_, i) => (i * 7919) % 1_000_003);
  expect(largest(values)).toBe(1_000_002);
  expect(smallest(values)).toBe(0);
  expect([largest([]), smallest([])]).toEqual([-Infinity, Infinity]);
  expect(largest([1, Number.NaN])).toBeNaN();
});

it('no list is spread into Math.max or Math.min in the sources', () => {
  const root = join(import.meta.dirname, '..', '..');
  const files = ['engine', 'experiments', 'kernel', 'native'].flatMap((name) =>
    readdirSync(join(root, name, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(root, name, 'src', file)),
  );
  expect(files.length).toBeGreaterThan(200);
  const spreading = files.filter((file) =>
    /^(?!\s*(\/\*\*|\*|\/\/)).*(Math\.(max|min)|String\.from\w+)\(\s*\.\.\./m.test(
      readFileSync(file, 'utf8'),
    ),
  );
  expect(spreading).toEqual([]);
});
