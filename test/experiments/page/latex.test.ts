/** Tables for a paper: whole and balanced, in which whatever records say is text, and bold is what the runs can tell. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createSubject, renderLatex } from '../../../experiments/src/page/index.js';
import { escapeLatex } from '../../../experiments/src/page/latex-text.js';
import { callCli } from '../cli.js';
import { fakeRecord } from '../fake-records.js';
import { storeExperiment } from './experiment.js';

const by = {
  ...{ command: 'specoffload report test --latex', date: new Date('2026-02-03') },
  provenance: { version: '1.2.3', commit: 'abcdef0123456789', dirty: false },
};

const hostile = [
  '\\input{/etc/passwd}',
  '100 % & more_of $it$ #1',
  '^^5cimmediate\\write18{rm}',
  'two\nlines\\\\',
  '}\\end{table}',
  '中 ~ "x" --fast → y',
];

/** Speed of each system on each data, a fifth apart, repeats close to each other. */
function latexOf(
  systems: readonly string[],
  repeats: number,
  batches: readonly number[] = [1, 2],
  gap = 0.2,
) {
  const stored = systems.flatMap((system, i) =>
    batches.flatMap((batch) =>
      Array.from({ length: repeats }, (_, repeat) => ({
        folder: 'nowhere',
        record: fakeRecord({
          axes: { system, batch },
          tokensPerSecond: batch * (1 + gap * i) * (1 + 0.01 * ((repeat * (i + 1)) % 3)),
          repeat,
        }),
      })),
    ),
  );
  const asked = { name: 'test', question: `Which? ${hostile[0]}`, baseline: { system: systems[0]! } };
  return renderLatex(createSubject(stored, asked), by);
}

/** Without what is escaped, and without comments. */
const bareOf = (text: string) => text.replace(/^%.*$/gm, '').replace(/\\[\\{}$&#%_,]/g, '');

describe('escapeLatex', () => {
  it('leaves nothing of a stranger to obey', () => {
    for (const text of hostile) {
      const escaped = escapeLatex(text);
      // Only commands of our own, and each special character behind a backslash.
      const rest = escaped
        .replace(/\\text[a-z]+\{\}|\$\\to\$|\\[{}$&#%_]|-\{\}(?=-)/g, '')
        .replace(/\[U\+[0-9A-F]+\]/g, '');
      expect(rest, text).not.toMatch(/[\\{}$&#%_^~"\n]/);
    }
    expect(escapeLatex('a--b → 中')).toBe('a-{}-b $\\to$ [U+4E2D]');
    expect(escapeLatex('größer')).toBe('größer');
  });
});

describe('a table', () => {
  it('is whole: environments closed, braces balanced, as many cells in every line as columns', () => {
    const text = latexOf(hostile, 3);
    const bare = bareOf(text);
    expect(bare.split('{').length).toBe(bare.split('}').length);
    const begun = [...text.matchAll(/\\begin\{(\w+)\}/g)].map(([, name]) => name);
    const ended = [...text.matchAll(/\\end\{(\w+)\}/g)].map(([, name]) => name);
    expect(begun.toSorted()).toEqual(ended.toSorted());
    for (const [, layout, body] of text.matchAll(/\\begin\{tabular\}\{(\w+)\}([\s\S]*?)\\end\{tabular\}/g)) {
      const lines = body!.split('\n').filter((line) => line.endsWith('\\\\'));
      expect(lines.length).toBeGreaterThan(1);
      for (const line of lines) expect(line.replace(/\\&/g, '').split('&').length, line).toBe(layout!.length);
      expect(body).toMatch(/\\toprule[\s\S]*\\midrule[\s\S]*\\bottomrule/);
    }
    expect(text).not.toContain('\\input');
    expect(text).not.toContain('\\write');
  });

  it('breaks a long table across pages', () => {
    const text = latexOf(
      ['a', 'b', 'c'],
      1,
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    expect(text).toMatch(/\\begin\{longtable\}\{lrrrrl\}[\s\S]*\\endhead[\s\S]*\\end\{longtable\}/);
  });

  it('has bold only what is distinguishably better than all that it is compared with', () => {
    const bold = (text: string) => text.split('\n').filter((line) => line.includes('\\textbf{'));
    expect(bold(latexOf(['a', 'b', 'c'], 3)).map((line) => line.trim().slice(0, 5))).toEqual([
      'c & 2',
      'c & 1',
    ]);
    expect(bold(latexOf(['a', 'b', 'c'], 2))).toEqual([]);
    expect(bold(latexOf(['a', 'b', 'c'], 3, [1], 0.001))).toEqual([]);
  });

  it('says in one line where it comes from', () => {
    const [first] = latexOf(['a', 'b'], 3).split('\n');
    expect(first).toMatch(
      /^% specoffload report test --latex, SpecOffload Lab 1\.2\.3, abcdef012345, 2026-02-03; 12 measured runs of [\d-]+ by commit .*; machine .*, budgets [0-9a-f]{12}; seeds? \d+/,
    );
  });

  it('shows what axes bring, where every combination was run', () => {
    const text = latexOf(['a', 'b'], 3);
    expect(text).toContain('\\label{tab:test-effects-1}');
    expect(text).toMatch(/system a \$\\to\$ b & 1\.\d+ & \{\[1\.\d+,~1\.\d+\]\} & faster/);
  });
});

describe('specoffload report --latex', () => {
  let results: string;
  beforeAll(async () => {
    results = await mkdtemp(join(tmpdir(), 'specoffload-latex-'));
    await storeExperiment(results);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await rm(results, { recursive: true, force: true });
  });
  const report = (...args: string[]) => callCli(['report', 'test', '--results', results, ...args]);

  it('writes the file, with the command that asked for it', async () => {
    const path = join(results, 'table.tex');
    const { exitCode, stdout, stderr } = await report('--latex', path, '--baseline', 'system=FlexGen');
    expect(exitCode, stderr).toBe(0);
    expect(stdout).toContain('tables for a paper: ');
    expect(await readFile(path, 'utf8')).toMatch(
      /^% specoffload report test --baseline system=FlexGen --latex, /,
    );
  });

  it('says what is missing where there is no browser to print with', async () => {
    vi.stubEnv('PATH', '');
    const { exitCode, stderr } = await report('--pdf', join(results, 'page.pdf'));
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('there is no Chromium or Chrome on PATH to print with; install one');
  });
});
