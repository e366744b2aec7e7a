/** What is bundled for processes and threads: whole, of the sources as they are, each module once in a realm. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { bundledFiles } from '../experiments/bundle.mjs';
import { runCli } from './experiments/cli.js';

const entries: string[] = bundledFiles();
const folders = [...new Set(entries.map((path) => dirname(path)))];
const texts = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => /^(?!rolldown-runtime).*\.js$/.test(name))
    .map((name) => ({ folder, text: readFileSync(join(folder, name), 'utf8') })),
);

it('is there', () => expect(entries.filter((path) => !existsSync(path))).toEqual([]));

it('imports nothing that is compiled apart, which would be there twice', () => {
  const imports = texts.flatMap(({ text }) => [...text.matchAll(/\b(?:from|import\() ?"([^"]+)"/g)]);
  const names = [...new Set(imports.map(([, name]) => name!))];
  expect(names.filter((name) => /^@specoffload\/|^\.\.\//.test(name))).toEqual([]);
  expect(names).toContain('piscina');
});

it('looks for files beside the modules that it is made of', () => {
  const places = texts.flatMap(({ folder, text }) =>
    [...text.matchAll(/(.{0,80})\bimport\.meta\.url/g)].map(([, before]) => {
      const place = before!.match(/new URL\("([^"]+\.js)", $/)?.[1];
      return { place, isThere: place !== undefined && existsSync(join(folder, place)) };
    }),
  );
  expect(places.length).toBeGreaterThan(5);
  expect(places.filter(({ isThere }) => !isThere)).toEqual([]);
});

it('leads to the sources where all is asked', async () => {
  const { exitCode, stderr } = await runCli(['run', '--target', 'none-such', '--verbose']);
  expect([exitCode, stderr]).toEqual([
    expect.any(Number),
    expect.stringMatching(/\/src\/[\w/-]+\.ts:\d+:\d+/),
  ]);
});
