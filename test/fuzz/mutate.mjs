/** Mutations of valid samples: of values by their structure, of texts and bytes by their places. All seeded. */

/** A small generator of random numbers (mulberry32): the same seed gives the same inputs on every machine. */
export function createRandom(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (end) => Math.floor(next() * end);
  return { next, below, pick: (list) => list[below(list.length)] };
}

const esc = '\u001b';

/** What strangers write where something else belongs. */
const oddScalars = [
  ...[null, true, false, 0, -0, 1, -1, 2, 0.5, 1e-7, 1e308, -1e308, 5e-324, 2 ** 31, 2 ** 53, 2 ** 63, 1e21],
  ...['', ' ', '0', 'x', 'true', '__proto__', 'constructor', 'toString', '../../etc/passwd', 'a\0b'],
  ...[
    `${esc}[2J${esc}]0;gone\u0007`,
    '\u009b31m',
    'a\nspecoffload: all is well',
    '\u202egnp.exe',
    '\ud800',
    '\u2028',
  ],
  ...['9'.repeat(400), '['.repeat(2000), 'é'.repeat(50), "'; drop table runs; --", '<script>'],
];

const hostileObjects = [
  () => nest(5000),
  () => Object.create(null),
  () => ({ toString: () => fail(), valueOf: () => fail(), toJSON: () => fail() }),
  () => ({ toString: null, [Symbol.toPrimitive]: 1 }),
  () => Object.defineProperty({}, 'x', { enumerable: true, configurable: true, get: () => fail() }),
  () => Object.assign([], { length: 1000 }),
  () => Symbol('x'),
  () => () => {},
  () => 10n ** 60n,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => undefined,
  () => new Date(Number.NaN),
  () => circular(),
];

function fail() {
  throw new Error('a method of the value was called');
}

function nest(depth) {
  let value = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

function circular() {
  const value = {};
  value.self = value;
  return value;
}

/** A few changes to a copy of a value. @param mayBeHostile whether it may hold what JSON cannot */
export function mutateValue(sample, random, mayBeHostile) {
  const root = { value: structuredClone(sample) };
  for (let changes = 1 + random.below(3); changes > 0; changes--) changeOnce(root, random, mayBeHostile);
  return root.value;
}

function changeOnce(root, random, mayBeHostile) {
  const places = [];
  collect(root, 'value', places, 0);
  const { holder, key } = random.pick(places);
  const value = holder[key];
  const odd = () =>
    mayBeHostile && random.next() < 0.3 ? random.pick(hostileObjects)() : random.pick(oddScalars);
  const put = (name, item) =>
    Object.defineProperty(holder, name, {
      value: item,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  switch (random.below(9)) {
    case 0:
      return Array.isArray(holder) ? holder.splice(Number(key), 1) : delete holder[key];
    case 1:
      return Array.isArray(holder) ? holder.splice(Number(key), 0, value) : put(`${key}2`, value);
    case 2:
      return typeof value === 'number'
        ? put(key, value * random.pick([-1, 0, 0.5, 1.5, 1e6, 1e300]))
        : put(key, odd());
    case 3:
      return put(key, [value]);
    case 4:
      return put(key, { [random.pick(['a', '__proto__', 'constructor'])]: value });
    case 5:
      return typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.defineProperty(value, random.pick(['__proto__', 'constructor', 'x', `${esc}[1m`]), {
            ...{ value: odd(), enumerable: true, configurable: true, writable: true },
          })
        : put(key, odd());
    case 6:
      return put(key, random.pick(places).value);
    default:
      return put(key, odd());
  }
}

function collect(holder, key, places, depth) {
  const value = holder[key];
  places.push({ holder, key, value });
  if (typeof value !== 'object' || value === null || depth > 12 || places.length > 400) return;
  for (const name of Object.keys(value).slice(0, 60)) {
    const { get } = Object.getOwnPropertyDescriptor(value, name);
    if (!get) collect(value, name, places, depth + 1);
  }
}

const fragments = [
  ...[
    '{',
    '}',
    '[',
    ']',
    '"',
    ',',
    ':',
    '\\',
    '\\u0000',
    '\\ud800',
    '\0',
    '\n',
    '\r',
    '\t',
    '\ufeff',
    '--',
    '!',
  ],
  ...[
    '[['.repeat(200),
    '('.repeat(300),
    '{"a":'.repeat(150),
    '9'.repeat(350),
    '1e999',
    '-',
    '.',
    '%',
    '$$',
    '`',
  ],
  ...[
    `${esc}[2J`,
    '\u009b',
    '\u202e',
    '__proto__',
    'constructor',
    ' and ',
    '^^^',
    '> '.repeat(300),
    '**'.repeat(200),
  ],
];

/** A few changes to a text. */
export function mutateText(sample, random) {
  let text = sample;
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = random.below(text.length + 1);
    const end = Math.min(text.length, at + random.below(12));
    switch (random.below(5)) {
      case 0:
        text = text.slice(0, at) + text.slice(end);
        break;
      case 1:
        text = text.slice(0, at) + random.pick(fragments) + text.slice(at);
        break;
      case 2:
        text = text.slice(0, end) + text.slice(at);
        break;
      case 3:
        text = text.slice(0, at) + String.fromCharCode(random.below(300)) + text.slice(at + 1);
        break;
      default:
        text =
          random.next() < 0.3
            ? text.slice(0, at)
            : text.slice(0, at) + random.pick(fragments) + text.slice(end);
    }
  }
  return text;
}

/** A few changes to bytes: flipped, cut off, repeated, put in. */
export function mutateBytes(sample, random) {
  let bytes = Buffer.from(sample);
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = random.below(bytes.length + 1);
    const piece = Buffer.from(
      Array.from({ length: 1 + random.below(6) }, () => random.pick([0, 0xff, 0xc3, 0x22, 0x7b])),
    );
    switch (random.below(4)) {
      case 0:
        if (at < bytes.length) bytes[at] ^= 1 << random.below(8);
        break;
      case 1:
        bytes = bytes.subarray(0, at);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
        break;
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - 8))]);
    }
  }
  return bytes;
}
