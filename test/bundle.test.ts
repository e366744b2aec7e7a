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
  const importsIn = (those: typeof texts) => {
    const imports = those.flatMap(({ text }) => [...text.matchAll(/\b(?:from|import\() ?"([^"]+)"/g)]);
    return [...new Set(imports.map(([, name]) => name!))];
  };
  const isForCells = ({ folder }: (typeof texts)[number]) => folder.endsWith('for-cells');
  const names = importsIn(texts.filter((text) => !isForCells(text)));
  const compiledApart = /^@specoffload\/|^\.\.\//;
  expect(names.filter((name) => compiledApart.test(name))).toEqual([]);
  expect(names).toContain('piscina');
  // Which a kernel has for itself.
  expect(
    importsIn(texts.filter(isForCells))
      .filter((name) => compiledApart.test(name))
      .sort(),
  ).toEqual(['@specoffload/input']);
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
