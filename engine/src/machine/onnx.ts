/**
 * Writes ONNX models as bytes, so that the graphs of the device lane are built here and nothing is shipped in
 * binary. Field numbers are those of onnx.proto (ONNX IR version 8, operator set 17).
 */

const irVersion = 8;
const opsetVersion = 17;
const microsoftOpsetVersion = 1;
const elementTypeFloat = 1;
const attributeTypeFloat = 1;
const attributeTypeInt = 2;
const attributeTypeInts = 7;

/** A node's attribute: whole numbers are written as INT or INTS, the others by `{ float }`. */
export type OnnxAttribute = number | readonly number[] | { readonly float: number };

export interface OnnxNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly domain?: string;
}

/** Shapes by name; a string is a dimension left open until the run. */
export type OnnxShapes = Readonly<Record<string, readonly (number | string)[]>>;

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: OnnxShapes;
  readonly outputs: OnnxShapes;
}

/** A complete fp32 ONNX model, ready for `InferenceSession.create`. */
export function encodeOnnxModel(graph: OnnxGraph): Uint8Array {
  return Buffer.concat([
    varintField(1, irVersion),
    bytesField(7, encodeGraph(graph)),
    bytesField(8, encodeOpset('', opsetVersion)),
    bytesField(8, encodeOpset('com.microsoft', microsoftOpsetVersion)),
  ]);
}

function encodeGraph({ nodes, inputs, outputs }: OnnxGraph): Buffer {
  return Buffer.concat([
    ...nodes.map((node) => bytesField(1, encodeNode(node))),
    bytesField(2, 'graph'),
    ...Object.entries(inputs).map(([name, shape]) => bytesField(11, encodeValueInfo(name, shape))),
    ...Object.entries(outputs).map(([name, shape]) => bytesField(12, encodeValueInfo(name, shape))),
  ]);
}

function encodeNode({ operator, inputs, outputs, attributes = {}, domain = '' }: OnnxNode): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => bytesField(1, name)),
    ...outputs.map((name) => bytesField(2, name)),
    bytesField(4, operator),
    ...Object.entries(attributes).map(([name, value]) => bytesField(5, encodeAttribute(name, value))),
    bytesField(7, domain),
  ]);
}

function encodeAttribute(name: string, value: OnnxAttribute): Buffer {
  return Buffer.concat([bytesField(1, name), ...encodeAttributeValue(value)]);
}

function encodeAttributeValue(value: OnnxAttribute): Buffer[] {
  if (typeof value === 'number') return [varintField(3, value), varintField(20, attributeTypeInt)];
  if ('float' in value) return [floatField(2, value.float), varintField(20, attributeTypeFloat)];
  return [...value.map((item) => varintField(8, item)), varintField(20, attributeTypeInts)];
}

function encodeValueInfo(name: string, shape: readonly (number | string)[]): Buffer {
  const dimensions = shape.map((dimension) =>
    bytesField(1, typeof dimension === 'string' ? bytesField(2, dimension) : varintField(1, dimension)),
  );
  const tensorType = Buffer.concat([
    varintField(1, elementTypeFloat),
    bytesField(2, Buffer.concat(dimensions)),
  ]);
  return Buffer.concat([bytesField(1, name), bytesField(2, bytesField(1, tensorType))]);
}

function encodeOpset(domain: string, version: number): Buffer {
  return Buffer.concat([bytesField(1, domain), varintField(2, version)]);
}

// Protocol-buffer wire format: a field is its tag (number and wire type), then its value.

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), bytes]);
}

function bytesField(field: number, value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
}
