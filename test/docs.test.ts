/** What README and docs/ name exists: files that links lead to, headings, commands with their flags, npm scripts. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../experiments/src/cli/program.js';
import { projectDirectory } from '../experiments/src/paths.js';

const pages = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'experiments/pair/MODEL_CARD.md'],
  ...readdirSync(join(projectDirectory, 'docs')).flatMap((name) =>
    name.endsWith('.md') ? [join('docs', name)] : [],
  ),
].filter((page) => existsSync(join(projectDirectory, page)));

const textOf = (page: string) => readFileSync(join(projectDirectory, page), 'utf8');
const scripts = JSON.parse(textOf('package.json')).scripts as Record<string, string>;
const program = await createProgram([], { signal: new AbortController().signal });

const flagsOf = (command: Command): string[] => [
  ...command.options.flatMap(({ long }) => (long ? [long] : [])),
  ...command.commands.flatMap(flagsOf),
];
const allFlags = new Set(['--help', ...flagsOf(program)]);

/** What commands make, and a fresh checkout lacks. */
const isBuilt = (path: string) => /dist\/|^docs\/api\/html/.test(path);

/** Lines that continue on the next one are one. */
const unfold = (text: string) => text.replace(/\\\n\s*/g, ' ');

describe.each(pages)('%s', (page) => {
  const text = textOf(page);

  it('links to files that are there', () => {
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)\s]+)\)/g)].map(([, link]) => link!);
    const missing = links.filter(
      (link) => !existsSync(join(projectDirectory, dirname(page), link.replace(/#.*/, ''))),
    );
    expect(missing).toEqual([]);
  });

  it('names files and folders that are there', () => {
    const paths = [
      ...text.matchAll(
        /`((?:engine|experiments|kernel|native|test|notebooks|docs|examples|\.ci)\/[\w./-]*)`/g,
      ),
    ];
    const missing = paths
      .map(([, path]) => path!)
      .filter((path) => !existsSync(join(projectDirectory, path)) && !isBuilt(path));
    expect(missing).toEqual([]);
  });

  it('names commands and flags that there are', () => {
    const commands = [
      ...unfold(text).matchAll(/(?:npx |`)specoffload ((?:[a-z-]+ ?)(?:[^`\n#;|&]|\\`)*)/g),
    ].map(([, words]) => words!.trim());
    expect(commands.flatMap(whatIsWrong)).toEqual([]);
  });

  it('names flags that some command has', () => {
    const flags = [...text.matchAll(/`(--[a-z][a-z-]*)/g)].map(([, flag]) => flag!);
    expect(flags.filter((flag) => !allFlags.has(flag))).toEqual([]);
  });

  it('names npm scripts that there are', () => {
    const names = [...text.matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g)].map(([, name]) => name!);
    expect(names.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });
});

it('README is read in one sitting', () => {
  expect(Buffer.byteLength(textOf('README.md'))).toBeLessThan(12_000);
});

it('every page of docs/ is reached from README', () => {
  const linked = textOf('README.md');
  const lost = pages.filter((page) => page.startsWith('docs/') && !linked.includes(`(${page})`));
  expect(lost.map((page) => relative('docs', page))).toEqual([]);
});

/** Of one command line without its program: sentences about words and flags that the command line does not have. */
function whatIsWrong(line: string): string[] {
  const words = line.replace(/"[^"]*"|'[^']*'/g, 'quoted').split(/\s+/);
  let command: Command = program;
  while (words[0] !== undefined) {
    const inner: Command | undefined = command.commands.find((candidate) => candidate.name() === words[0]);
    if (!inner) break;
    command = inner;
    words.shift();
  }
  if (command === program) return [`no command: specoffload ${line}`];
  const known = new Set(command.options.flatMap(({ long, short }) => [long, short]));
  return words
    .filter((word) => /^--?[a-z]/.test(word) && word !== '--help')
    .map((word) => word.replace(/[=,.)].*$/, ''))
    .filter((flag) => !known.has(flag))
    .map((flag) => `specoffload ${command.name()} has no ${flag}: ${line}`);
}
