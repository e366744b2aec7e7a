/** As much of a SPIR-V module as its own names tell: push constants, specialisation constants, shared memory. */

const op = {
  name: 5,
  memberName: 6,
  typeInt: 21,
  typeFloat: 22,
  typeStruct: 30,
  typePointer: 32,
  variable: 59,
};
const decoration = { specId: 1, offset: 35 };
const pushConstantStorage = 9;

export interface SpirvModule {
  /** Names by specialisation id; the workgroup's size has none. */
  readonly constants: ReadonlyMap<number, string>;
  readonly push: readonly { readonly name: string; readonly offset: number; readonly type: string }[];
}

export function parseSpirv(bytes: Uint8Array): SpirvModule {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  if (words[0] !== 0x07230203) throw new Error('not a SPIR-V module');
  const names = new Map<number, string>();
  const members = new Map<number, Map<number, string>>();
  const offsets = new Map<number, Map<number, number>>();
  const specIds = new Map<number, number>();
  const types = new Map<number, string>();
  const structs = new Map<number, number[]>();
  const pointers = new Map<number, number>();
  let pushStruct = 0;
  for (let at = 5; at < words.length; at += words[at]! >>> 16) {
    const [code, length] = [words[at]! & 0xffff, words[at]! >>> 16];
    const [a, b, c, d] = words.subarray(at + 1, at + 5);
    const textFrom = (first: number) =>
      new TextDecoder().decode(bytes.subarray(4 * (at + first), 4 * (at + length))).replace(/\0.*$/s, '');
    if (code === op.name) names.set(a!, textFrom(2));
    if (code === op.memberName) inner(members, a!).set(b!, textFrom(3));
    if (code === 71 && b === decoration.specId) specIds.set(a!, c!);
    if (code === 72 && c === decoration.offset) inner(offsets, a!).set(b!, d!);
    if (code === op.typeInt) types.set(a!, b === 64 ? 'address' : 'uint');
    if (code === op.typeFloat) types.set(a!, 'float');
    if (code === op.typeStruct) structs.set(a!, [...words.subarray(at + 2, at + length)]);
    if (code === op.typePointer) pointers.set(a!, c!);
    if (code === op.variable && c === pushConstantStorage) pushStruct = pointers.get(a!)!;
  }
  return {
    constants: new Map([...specIds].flatMap(([id, spec]) => (names.get(id) ? [[spec, names.get(id)!]] : []))),
    push: (structs.get(pushStruct) ?? []).map((type, index) => ({
      name: members.get(pushStruct)!.get(index)!,
      offset: offsets.get(pushStruct)!.get(index)!,
      type: types.get(type)!,
    })),
  };
}

function inner<V>(outer: Map<number, Map<number, V>>, key: number): Map<number, V> {
  const found = outer.get(key) ?? new Map<number, V>();
  outer.set(key, found);
  return found;
}
