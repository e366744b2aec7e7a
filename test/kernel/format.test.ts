import { describe, expect, it } from 'vitest';
import { parseNotebook, serializeNotebook } from '../../kernel/src/notebook/format.js';
import { createNotebookText } from './notebooks.js';

const minimal = { nbformat: 4, nbformat_minor: 4, metadata: {}, cells: [] };
const withCell = (cell: unknown) => ({ ...minimal, cells: [{ cell_type: 'markdown', source: '' }, cell] });
const code = { cell_type: 'code', metadata: {}, source: '1', outputs: [], execution_count: null };

describe('what is no notebook', () => {
  const cases: readonly (readonly [value: unknown, message: string])[] = [
    [[], ': invalid content: []; expected an object; give a notebook of nbformat 4'],
    [{}, ': invalid nbformat: missing; expected 4'],
    [{ ...minimal, nbformat: 3 }, ': invalid nbformat: 3; expected 4'],
    [{ ...minimal, metadata: null }, ': invalid metadata: null; expected an object'],
    [{ ...minimal, cells: {} }, ': invalid cells: {}; expected a list'],
    [withCell(null), ', cell 2: invalid cell: null; expected an object'],
    [withCell({ ...code, cell_type: 'heading' }), ', cell 2: invalid cell_type: "heading"; expected code'],
    [withCell({ ...code, source: 1 }), ', cell 2: invalid source: 1; expected a text or a list of texts'],
    [withCell({ ...code, source: ['a', 1] }), ', cell 2: invalid source: ["a",1]'],
    [withCell({ ...code, metadata: [] }), ', cell 2: invalid metadata: []'],
    [
      withCell({ ...code, metadata: { tags: 'parameters' } }),
      ', cell 2: invalid metadata.tags: "parameters"',
    ],
    [withCell({ ...code, outputs: {} }), ', cell 2: invalid outputs: {}'],
    [
      withCell({ ...code, outputs: [{ output_type: 'pyout' }] }),
      ', cell 2: invalid outputs.0.output_type: "pyout"',
    ],
    [
      withCell({ ...code, outputs: [{ output_type: 'stream' }] }),
      ', cell 2: invalid outputs.0.text: missing',
    ],
    [
      withCell({ ...code, outputs: [{ output_type: 'display_data' }] }),
      ', cell 2: invalid outputs.0.data: missing',
    ],
  ];
  it.each(cases)('%j', (value, message) => {
    expect(() => parseNotebook(JSON.stringify(value), 'a.ipynb')).toThrow(`a.ipynb${message}`);
  });

  it('text that is no JSON', () => {
    expect(() => parseNotebook('# a page', 'a.md')).toThrow('a.md is not valid JSON');
  });
});

describe('a notebook', () => {
  const outputs = [
    { output_type: 'stream', name: 'stderr', text: ['a\n', 'b'] },
    {
      output_type: 'display_data',
      metadata: {},
      data: { 'text/html': ['<b>\n', '</b>'], 'image/png': 'aGk=' },
    },
    {
      output_type: 'execute_result',
      metadata: {},
      execution_count: 3,
      data: { 'application/x+json': { z: [1], a: 2 } },
    },
    { output_type: 'error', ename: 'E', evalue: 'v', traceback: ['t'] },
  ];
  const text = JSON.stringify({
    ...minimal,
    metadata: { z: 1, a: { kept: true } },
    cells: [
      {
        cell_type: 'markdown',
        metadata: {},
        source: ['# A\n', 'b'],
        attachments: { 'a.png': { 'image/png': 'aGk=' } },
      },
      { ...code, id: 'mine', source: 'x\ny\n', outputs, execution_count: 3 },
      { cell_type: 'raw', metadata: { format: 'text/x' }, source: '' },
    ],
  });

  it('joins lines when it is read, and splits them as Jupyter does when it is written', () => {
    const notebook = parseNotebook(text, 'a.ipynb');
    expect(notebook.cells.map(({ source }) => source)).toEqual(['# A\nb', 'x\ny\n', '']);
    const written = JSON.parse(serializeNotebook(notebook));
    expect(written).toMatchObject({ nbformat: 4, nbformat_minor: 5, metadata: { z: 1, a: { kept: true } } });
    expect(written.cells[0].source).toEqual(['# A\n', 'b']);
    expect(written.cells[0].attachments).toEqual({ 'a.png': { 'image/png': 'aGk=' } });
    expect(written.cells[1].source).toEqual(['x\n', 'y\n']);
    expect(written.cells[1].id).toBe('mine');
    expect(written.cells[1].outputs).toEqual([
      outputs[0],
      { ...outputs[1], data: { 'text/html': ['<b>\n', '</b>'], 'image/png': ['aGk='] } },
      outputs[2],
      outputs[3],
    ]);
    expect(written.cells[2].source).toEqual([]);
  });

  it('is written the same way again, keys in order', () => {
    const written = serializeNotebook(parseNotebook(text, 'a.ipynb'));
    expect(serializeNotebook(parseNotebook(written, 'a.ipynb'))).toBe(written);
    expect(written.indexOf('"a": {')).toBeLessThan(written.indexOf('"z": 1'));
    expect(written.startsWith('{\n "cells": [\n')).toBe(true);
    expect(written.endsWith('}\n')).toBe(true);
  });

  it('gets ids of its own where it has none, or one twice', () => {
    const twice = { ...code, id: 'twice' };
    const { cells } = parseNotebook(
      JSON.stringify({ ...minimal, cells: [code, code, twice, twice, { ...code, id: 'no/id' }] }),
      'a',
    );
    const ids = cells.map(({ id }) => id);
    expect(new Set(ids).size).toBe(5);
    expect(ids[2]).toBe('twice');
    for (const id of ids) expect(id).toMatch(/^[\w-]{1,64}$/);
    expect(parseNotebook(createNotebookText(['1']), 'a').cells[0].id).toBe(ids[0]);
  });
});
