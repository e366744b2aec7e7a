import { describe, expect, it } from 'vitest';
import type { CodeCell } from '../../kernel/src/notebook/format.js';
import { OutputCollector, type OutputLimits } from '../../kernel/src/notebook/outputs.js';
import { createRequest, createResponse, type Message } from '../../kernel/src/wire/message.js';

type Published = readonly [type: string, content: Record<string, unknown>];

const createCell = (): CodeCell => ({
  cell_type: 'code',
  id: 'a',
  metadata: {},
  source: '',
  execution_count: 9,
  outputs: [{ output_type: 'stream', name: 'stdout', text: 'of an earlier run' }],
});

function collect(published: readonly Published[], limits?: OutputLimits): CodeCell {
  const cell = createCell();
  const collector = new OutputCollector(limits);
  collector.begin(cell);
  for (const [type, content] of published) collector.add(createRequest(type, 's', content));
  collector.end();
  return cell;
}

const stream = (text: string, name = 'stdout'): Published => ['stream', { name, text }];
const show = (text: string, display_id?: string): Published => [
  'display_data',
  { data: { 'text/plain': text }, metadata: {}, transient: display_id === undefined ? {} : { display_id } },
];
const update = (text: string, display_id: string): Published => [
  'update_display_data',
  { data: { 'text/plain': text }, metadata: {}, transient: { display_id } },
];
const texts = ({ outputs }: CodeCell) =>
  outputs.map((output) =>
    'text' in output ? output.text : 'data' in output ? output.data['text/plain'] : output.evalue,
  );

describe('outputs', () => {
  const cases: readonly (readonly [
    what: string,
    published: readonly Published[],
    shown: readonly string[],
  ])[] = [
    ['nothing', [], []],
    ['one stream in pieces', [stream('a'), stream('b')], ['ab']],
    ['two streams', [stream('a'), stream('b', 'stderr'), stream('c')], ['a', 'b', 'c']],
    ['something between', [stream('a'), show('x'), stream('b')], ['a', 'x', 'b']],
    ['a display that changes', [show('1', 'd'), show('other'), update('2', 'd')], ['2', 'other']],
    ['a display shown twice', [show('1', 'd'), show('1', 'd'), update('2', 'd')], ['2', '2']],
    ['an update of nothing', [update('2', 'd')], []],
    ['cleared', [stream('a'), ['clear_output', {}], stream('b')], ['b']],
    ['cleared once something comes', [stream('a'), ['clear_output', { wait: true }]], ['a']],
    ['cleared by what comes', [stream('a'), ['clear_output', { wait: true }], show('x')], ['x']],
    ['an error', [['error', { ename: 'E', evalue: 'v', traceback: ['t'] }]], ['v']],
    [
      'messages of no concern',
      [
        ['status', {}],
        ['comm_open', {}],
        ['toString', {}],
        ['constructor', {}],
      ],
      [],
    ],
  ];
  it.each(cases)('%s', (_what, published, shown) => {
    expect(texts(collect(published))).toEqual(shown);
  });

  it('carry the execution count', () => {
    const cell = collect([
      ['execute_input', { code: '1', execution_count: 4 }],
      ['execute_result', { execution_count: 4, data: { 'text/plain': '1' }, metadata: { a: 1 } }],
    ]);
    expect(cell.execution_count).toBe(4);
    expect(cell.outputs).toEqual([
      { output_type: 'execute_result', execution_count: 4, data: { 'text/plain': '1' }, metadata: { a: 1 } },
    ]);
  });

  it('of a later cell change a display of an earlier one', () => {
    const [first, second] = [createCell(), createCell()];
    const collector = new OutputCollector();
    collector.begin(first);
    collector.add(createRequest(...withSession(show('1', 'd'))));
    collector.end();
    collector.begin(second);
    collector.add(createRequest(...withSession(update('2', 'd'))));
    collector.end();
    expect(texts(first)).toEqual(['2']);
    expect(texts(second)).toEqual([]);
  });

  it('are cut where they are longer than anybody reads, with a note of how long they were', () => {
    // An output counts as a hundred characters beside its own.
    const limits = { streamChars: 10, displayChars: 410, notebookChars: 1000 };
    const cell = collect(
      [
        stream('12345678'),
        stream('9abcdef'),
        stream('x'),
        stream('e', 'stderr'),
        show('1234'),
        show('5678901'),
      ],
      limits,
    );
    expect(texts(cell)).toEqual([
      '123456789a',
      'e',
      '1234',
      '[cut: what this cell shows has more than 410 characters]',
      '\n[cut: stdout had 16 characters, the first 10 are kept]\n',
    ]);
  });
});

it('that come after the end of their cell go to it, not to the one under way', () => {
  const [first, second] = [createCell(), createCell()];
  const collector = new OutputCollector();
  const requests = [createRequest('execute_request', 's', {}), createRequest('execute_request', 's', {})];
  const say = (request: Message, text: string) =>
    collector.add(createResponse(request, 'stream', { name: 'stdout', text }));
  collector.begin(first);
  say(requests[0], 'a');
  collector.begin(second);
  say(requests[1], 'x');
  say(requests[0], 'b');
  collector.addText('stdout', 'y');
  collector.end();
  say(requests[0], 'after the end');
  expect([texts(first), texts(second)]).toEqual([['ab'], ['xy']]);
});

it('that nest too deep for a notebook are named, and the rest is kept', () => {
  let deep: unknown = 1;
  for (let level = 0; level < 10_000; level++) deep = [deep];
  const cell = collect([['display_data', { data: { 'application/json': deep }, metadata: {} }], show('x')]);
  expect(texts(cell)).toEqual(['[left out: application/json nests more than 90 deep]', 'x']);
});

it('of an error are cut, too', () => {
  const error = { ename: 'E', evalue: 'v'.repeat(100), traceback: ['a'.repeat(100), 'b'] };
  const [output] = collect([['error', error]], {
    streamChars: 10,
    displayChars: 1000,
    notebookChars: 1000,
  }).outputs;
  expect(output).toEqual({
    output_type: 'error',
    ename: 'E',
    evalue: 'v'.repeat(10),
    traceback: ['a'.repeat(10)],
  });
});

it('that are cleared again and again need no room', () => {
  const rounds: Published[] = Array.from(
    { length: 20 },
    () => [show('123456789'), ['clear_output', {}]] as const,
  ).flat();
  const limits = { streamChars: 10, displayChars: 150, notebookChars: 150 };
  expect(texts(collect([...rounds, show('shown')], limits))).toEqual(['shown']);
});

function withSession([type, content]: Published): [string, string, Record<string, unknown>] {
  return [type, 's', content];
}
