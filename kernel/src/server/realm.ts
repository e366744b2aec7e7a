/**
 * The language's own objects (`JSON`, `Array.prototype`, `Promise`), which cells and the kernel share. A cell may change
 * them, and sees its changes for as long as it and what it has left behind run; the kernel goes on with what there was.
 */

import { writeSync } from 'node:fs';

/** By name and out of reach of cells; no iterators below, and no methods, since these may be what was changed. */
const { defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
const { is, setPrototypeOf } = Object;
const { pid, kill } = process;

interface Change {
  readonly object: object;
  readonly key: PropertyKey;
  /** As a cell left it; undefined for what it has deleted. */
  readonly changed: PropertyDescriptor | undefined;
}

interface Kept {
  readonly object: object;
  readonly keys: readonly PropertyKey[];
  readonly descriptors: readonly PropertyDescriptor[];
  /** Names that are not among `keys` were added by cells, which may have as many of the global object's as they like. */
  readonly isClosed: boolean;
}

export interface Realm {
  /** What cells have changed is as it was before. */
  takeBack(): void;
  /** What cells have changed is as they left it. */
  giveBack(): void;
}

/** Takes the realm as it is now for what the kernel rests on. Call it when all that the kernel changes is changed. */
export function keepRealm(): Realm {
  for (const name of ['process', 'Buffer'] as const) makeValue(name);
  const kept = listObjects().map(keep);
  let changes: Change[] = [];
  return {
    takeBack() {
      for (let i = 0; i < kept.length; i++) undo(kept[i]!, changes);
    },
    giveBack() {
      const before = changes;
      changes = [];
      for (let i = 0; i < before.length; i++) {
        const { object, key, changed } = before[i]!;
        if (changed === undefined) deleteProperty(object, key);
        else defineProperty(object, key, changed);
      }
    },
  };
}

/** Node has these by a getter and a setter, which do not show that a cell has set another. */
function makeValue(name: 'process' | 'Buffer'): void {
  defineProperty(globalThis, name, { ...dataOf(globalThis[name]), enumerable: false });
}

/** First what all others inherit from: what is added to it changes what a descriptor says. */
function listObjects(): object[] {
  const found = new Set<object>([Object.prototype, globalThis]);
  const add = (value: unknown) => {
    if ((typeof value === 'object' && value !== null) || typeof value === 'function') found.add(value);
  };
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    // What is there by a getter is loaded when somebody asks for it.
    const value: unknown = /^[A-Z]/.test(name)
      ? getOwnPropertyDescriptor(globalThis, name)?.value
      : undefined;
    add(value);
    if (typeof value === 'function') add(value.prototype);
  }
  for (const value of unnamed()) {
    for (let object: object | null = value; object !== null; object = getPrototypeOf(object)) add(object);
  }
  return [...found];
}

/** One of each kind whose prototypes have no name of their own. */
function unnamed(): object[] {
  const iterators = [
    [].values(),
    new Map().keys(),
    new Set().keys(),
    ''[Symbol.iterator](),
    'a'.matchAll(/a/g),
  ];
  const functions = [function* () {}, async () => {}, async function* () {}];
  const generators = [functions[0]!, functions[2]!].map((generator) => generator.prototype as object);
  return [...iterators, ...functions, ...generators, new Uint8Array()];
}

function keep(object: object): Kept {
  const keys = ownKeys(object);
  const descriptors = keys.map((key) => bare(getOwnPropertyDescriptor(object, key)!));
  return { object, keys, descriptors, isClosed: object !== globalThis };
}

/** Without what cells may have added to all objects. */
function bare(descriptor: PropertyDescriptor): PropertyDescriptor {
  return setPrototypeOf(descriptor, null);
}

/** Mutates `changes`: appends what had to be undone. */
function undo({ object, keys, descriptors, isClosed }: Kept, changes: Change[]): void {
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    const found = getOwnPropertyDescriptor(object, key);
    const changed = found && bare(found);
    if (changed !== undefined && isSame(changed, descriptors[i]!)) continue;
    if (!defineProperty(object, key, descriptors[i]!)) endKernel(key);
    append(changes, { object, key, changed });
  }
  if (!isClosed) return;
  const now = ownKeys(object);
  if (now.length === keys.length) return;
  const known = setPrototypeOf({}, null) as Record<PropertyKey, true>;
  for (let i = 0; i < keys.length; i++) known[keys[i]!] = true;
  for (let i = 0; i < now.length; i++) {
    const key = now[i]!;
    if (known[key]) continue;
    const changed = bare(getOwnPropertyDescriptor(object, key)!);
    if (deleteProperty(object, key)) append(changes, { object, key, changed });
  }
}

/** Not by `push`, which is a cell's to change. */
function append(changes: Change[], change: Change): void {
  defineProperty(changes, changes.length, bare(dataOf(change)));
}

function dataOf(value: unknown): PropertyDescriptor {
  return { value, writable: true, enumerable: true, configurable: true };
}

function isSame(a: PropertyDescriptor, b: PropertyDescriptor): boolean {
  return is(a.value, b.value) && a.get === b.get && a.set === b.set;
}

/** Better than to answer nobody for ever: whoever waits for this process learns that it is gone. */
function endKernel(key: PropertyKey): never {
  writeSync(2, `a cell has changed ${String(key)} for good, without which no kernel works: restart it\n`);
  kill(pid, 'SIGKILL');
  throw new Error('ended');
}
