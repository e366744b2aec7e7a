/** As much of a SPIR-V module as its own names tell: push constants, specialisation constants, shared memory. */

export interface SpirvModule {
  /** Names by specialisation id; the workgroup's size has none. */
  readonly constants: ReadonlyMap<number, string>;
  readonly push: readonly { readonly name: string; readonly offset: number; readonly type: string }[];
  /** Bytes that a workgroup shares where the constants have these values, in the order of their ids. */
  sharedBytes(constants: readonly number[]): number;
}

const op = {
  name: 5,
  memberName: 6,
  typeBool: 20,
  typeInt: 21,
  typeFloat: 22,
  typeVector: 23,
  typeArray: 28,
  typeStruct: 30,
  typePointer: 32,
  constant: 43,
  specTrue: 48,
  specFalse: 49,
  spec: 50,
  specComposite: 51,
  specOp: 52,
  variable: 59,
  decorate: 71,
  memberDecorate: 72,
} as const;
const decoration = { specId: 1, offset: 35 };
const storage = { workgroup: 4, pushConstant: 9 };

/** What is made of constants while a pipeline is made. */
const arithmetic: Readonly<Record<number, (...operands: number[]) => number>> = {
  81: (first) => first, // a component of the workgroup's size, whose others are 1
  128: (a, b) => a + b,
  130: (a, b) => a - b,
  132: (a, b) => a * b,
  134: (a, b) => Math.floor(a / b),
  169: (condition, a, b) => (condition ? a : b),
  172: (a, b) => Number(a > b),
  174: (a, b) => Number(a >= b),
};

interface Instruction {
  readonly code: number;
  readonly operands: readonly number[];
  /** The string that begins at an operand. */
  textAt(operand: number): string;
}

function* instructionsOf(bytes: Uint8Array): Generator<Instruction> {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  if (words[0] !== 0x07230203) throw new Error('not a SPIR-V module');
  for (let at = 5, length = 0; at < words.length; at += length) {
    length = words[at]! >>> 16;
    const from = at;
    yield {
      code: words[at]! & 0xffff,
      operands: [...words.subarray(at + 1, at + length)],
      textAt: (operand) =>
        new TextDecoder()
          .decode(bytes.subarray(4 * (from + 1 + operand), 4 * (from + length)))
          .replace(/\0.*$/s, ''),
    };
  }
}

export function parseSpirv(bytes: Uint8Array): SpirvModule {
  const all = [...instructionsOf(bytes)];
  const of = (code: number) => all.filter((instruction) => instruction.code === code);
  const names = new Map(of(op.name).map(({ operands: [id], textAt }) => [id!, textAt(1)]));
  const specIds = new Map(
    of(op.decorate)
      .filter(({ operands }) => operands[1] === decoration.specId)
      .map(({ operands: [id, , spec] }) => [id!, spec!]),
  );
  const memberKey = (struct: number, member: number) => `${struct} ${member}`;
  const memberNames = new Map(
    of(op.memberName).map(({ operands: [struct, member], textAt }) => [
      memberKey(struct!, member!),
      textAt(2),
    ]),
  );
  const offsets = new Map(
    of(op.memberDecorate)
      .filter(({ operands }) => operands[2] === decoration.offset)
      .map(({ operands: [struct, member, , offset] }) => [memberKey(struct!, member!), offset!]),
  );
  /** By the id they define. */
  const types = new Map(
    all
      .filter(({ code }) => op.typeBool <= code && code <= op.typePointer)
      .map((instruction) => [instruction.operands[0]!, instruction]),
  );
  const values = new Map(
    all
      .filter(({ code }) => op.constant <= code && code <= op.specOp)
      .map((instruction) => [instruction.operands[1]!, instruction]),
  );
  const variablesIn = (storageClass: number) =>
    of(op.variable)
      .filter(({ operands }) => operands[2] === storageClass)
      .map(({ operands: [pointer] }) => types.get(types.get(pointer!)!.operands[2]!)!);

  const fieldType = (id: number) => {
    const { code, operands } = types.get(id)!;
    if (code === op.typeFloat) return 'float';
    return operands[1] === 64 ? 'address' : 'uint';
  };
  const [push] = variablesIn(storage.pushConstant);

  const sharedBytes = (constants: readonly number[]) => {
    const constantOf = (id: number): number => {
      const { code, operands } = values.get(id)!;
      const spec = specIds.get(id);
      if (spec !== undefined) return constants[spec]!;
      if (code === op.constant || code === op.spec) return operands[2]!;
      if (code === op.specComposite) return constantOf(operands[2]!);
      const compute = arithmetic[operands[2]!];
      if (code !== op.specOp || !compute) throw new Error(`no arithmetic for ${code} ${operands[2]}`);
      // What follows a component's composite is its number.
      return compute(...(operands[2] === 81 ? operands.slice(3, 4) : operands.slice(3)).map(constantOf));
    };
    const bytesOf = ({ code, operands }: Instruction): number => {
      if (code === op.typeVector) return operands[2]! * bytesOf(types.get(operands[1]!)!);
      if (code === op.typeArray) return constantOf(operands[2]!) * bytesOf(types.get(operands[1]!)!);
      if (code === op.typeStruct)
        return operands.slice(1).reduce((sum, member) => sum + bytesOf(types.get(member)!), 0);
      return operands[1]! / 8;
    };
    return variablesIn(storage.workgroup).reduce((sum, type) => sum + bytesOf(type), 0);
  };

  return {
    constants: new Map([...specIds].flatMap(([id, spec]) => (names.get(id) ? [[spec, names.get(id)!]] : []))),
    push: (push?.operands.slice(1) ?? []).map((type, member) => ({
      name: memberNames.get(memberKey(push!.operands[0]!, member))!,
      offset: offsets.get(memberKey(push!.operands[0]!, member))!,
      type: fieldType(type),
    })),
    sharedBytes,
  };
}
