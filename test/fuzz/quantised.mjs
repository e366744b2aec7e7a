/** Quantised checkpoints for the fuzzer: what a header and a configuration say, and files that hold what the header promises. */

import { assembleQuantised } from '../../engine/dist/model/assemble.js';
import { parseQuantisation } from '../../engine/dist/model/config-quantised.js';
import { ConfigValues } from '../../engine/dist/model/config-values.js';
import { toTensorRef } from '../../engine/dist/model/header-tensor.js';
import { readSafetensors } from '../../engine/dist/model/safetensors.js';
import { rangesOf, readTensor } from '../../engine/dist/model/stored.js';
import { check, is, parseJson } from '../../engine/input/dist/index.js';

const weights = { num_bits: 4, type: 'int', symmetric: false, group_size: 8 };

/** One matrix of 16 by 32 each. */
export const quantisedSamples = [
  {
    quantisation: { quant_method: 'gptq', bits: 4, group_size: 8, desc_act: true },
    tensors: {
      ...{ 'a.qweight': ['I32', [4, 16]], 'a.qzeros': ['I32', [4, 2]], 'a.scales': ['F16', [4, 16]] },
      'a.g_idx': ['I32', [32]],
    },
  },
  {
    quantisation: { quant_method: 'awq', bits: 4, group_size: 16, version: 'gemm' },
    tensors: { 'a.qweight': ['I32', [32, 2]], 'a.qzeros': ['I32', [2, 2]], 'a.scales': ['F16', [2, 16]] },
  },
  {
    quantisation: { quant_method: 'compressed-tensors', config_groups: { group_0: { weights } } },
    tensors: {
      ...{ 'a.weight_packed': ['I32', [16, 4]], 'a.weight_scale': ['BF16', [16, 4]] },
      ...{ 'a.weight_zero_point': ['I32', [2, 4]], 'a.weight_g_idx': ['I32', [32]] },
      ...{
        'b.weight': ['I8', [3, 32]],
        'b.weight_scale': ['BF16', [3, 4]],
        'b.weight_zero_point': ['I8', [3, 4]],
      },
    },
  },
  {
    quantisation: { quant_method: 'bf16_packed', version: 1 },
    tensors: { 'a.weight': ['U8', [16, 100]], 'b.weight': ['BF16', [16]] },
  },
];

const widths = { I8: 1, F8_E4M3: 1, U8: 1, F16: 2, BF16: 2, I32: 4, F32: 4 };
const mostBytes = 2 ** 20;

const widthOf = (dtype) => (typeof dtype === 'string' && Object.hasOwn(widths, dtype) ? widths[dtype] : 0);

/** Where tensors lie if their shapes make sense; else somewhere that is refused. */
function headerOf(tensors) {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, entry]) => {
    const [dtype, shape] = Array.isArray(entry) ? entry : [];
    const count = Array.isArray(shape)
      ? shape.reduce((product, size) => product * (typeof size === 'number' ? size : 0), 1)
      : 0;
    const begin = end;
    end += Math.min(mostBytes, Math.max(0, Math.floor(count * widthOf(dtype)) || 0));
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  return { header: JSON.stringify(Object.fromEntries(entries)), dataBytes: Math.min(end, mostBytes) };
}

/** Opens what JSON says. @param pathOf writes a file and says where */
export const openQuantised = (pathOf) => async (json) => {
  const input = check(is.object, parseJson(json, 'q.json'), 'q.json');
  const config = new ConfigValues({ quantization_config: input.quantisation }, 'config.json', () => {});
  const quantisation = parseQuantisation(config);
  const { header, dataBytes } = headerOf(check(is.object, input.tensors, 'q.json'));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  const path = pathOf(Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)]));
  const [{ tensors, byteLength }] = await assembleQuantised([await readSafetensors(path)], quantisation);
  const refs = tensors.filter(({ codec }) => codec !== null).map(toTensorRef);
  return Promise.all(refs.map(async (ref) => ({ ref, byteLength, values: await readTensor(ref) })));
};

/** What is taken lies in its file and has as many values as its shape. */
export function areWhole(tensors) {
  return tensors.every(
    ({ ref, byteLength, values }) =>
      values.length === ref.shape.reduce((product, size) => product * size, 1) &&
      rangesOf(ref).every(
        (range) => range.fileOffset >= 0 && range.fileOffset + range.byteLength <= byteLength,
      ),
  );
}
