/** Commands of the device's contract as operations of a Vulkan queue, with barriers where one needs what another wrote. */

import {
  attend,
  codecs,
  createAttentionTables,
  embed,
  f32,
  gather,
  type KernelLimits,
  type StoredVector,
  scatterAdd,
  spaces,
} from '@specoffload/native';
import type { ModelSpec } from '../model/spec.js';
import type {
  AttendCommand,
  Command,
  CopyCommand,
  DecodeCommand,
  DeviceModels,
  EmbedCommand,
  GatherCommand,
  ModelRole,
  NumbersOnDevice,
  ReadCommand,
  ScatterAddCommand,
  TransferCommand,
  WriteCommand,
  ZeroCommand,
} from './device.js';
import { isKept, isReadAt, vulkanFormats } from './formats.js';
import { type HostReach, reaches } from './host-reach.js';
import { runsOf } from './stored-tensor.js';
import { addArgmax, addRoute, addStartsFinite } from './vulkan-choices.js';
import type { VulkanDecoder } from './vulkan-decoder.js';
import { OperationList, type VulkanAddress } from './vulkan-list.js';
import { isStoredFormat, type Rounding, type Scratch, VulkanProducts, vectorOf } from './vulkan-products.js';

/** What takes no kernel. */
type MovingCommand = TransferCommand | ReadCommand | ZeroCommand | WriteCommand;

export interface LoweringOptions {
  readonly limits: KernelLimits;
  readonly scratch: Scratch;
  readonly rounding: Rounding | null;
  /** Null for a queue that only transfers. */
  readonly models: DeviceModels | null;
  readonly decoder: VulkanDecoder;
  readonly reach: HostReach | null;
}

export class VulkanLowering {
  readonly #options: LoweringOptions;
  readonly #products: VulkanProducts;

  constructor(options: LoweringOptions) {
    this.#options = options;
    this.#products = new VulkanProducts(options.limits, options.scratch, options.rounding);
  }

  lower(commands: readonly Command[]): OperationList {
    const list = new OperationList();
    let before: Direction | null = null;
    for (const command of commands) {
      const direction = directionOf(command);
      if (before !== null && (direction === 'across' || direction !== before)) list.barrier();
      before = direction;
      list.begin();
      this.#add(list, command);
    }
    return list;
  }

  #add(list: OperationList, command: Command): void {
    switch (command.kind) {
      case 'decode':
        this.#bring(list, command);
        break;
      case 'upload':
      case 'read-back':
        addCopies(list, command);
        break;
      case 'read':
        list.read(command.source, command.count, (values, answers) => answers.values.push(values));
        break;
      case 'zero':
        list.zero(command.target, command.byteLength);
        break;
      case 'write':
        list.bring(command.values.length, command.target, (first, count) =>
          command.values.subarray(first, first + count),
        );
        break;
      default:
        this.#compute(list, command);
    }
  }

  #compute(list: OperationList, command: Exclude<Command, MovingCommand>): void {
    if (!this.#options.models) throw new Error(`a queue that only transfers cannot ${command.kind}`);
    switch (command.kind) {
      case 'embed':
        this.#embed(list, command);
        break;
      case 'attend':
        this.#attend(list, command);
        break;
      case 'gather':
        this.#gather(list, command);
        break;
      case 'scatter-add':
        this.#scatterAdd(list, command);
        break;
      case 'route':
        addRoute(list, command, this.#specOf(command.model), this.#options.limits);
        break;
      case 'argmax':
        addArgmax(list, command, this.#options.limits);
        break;
      case 'starts-finite':
        addStartsFinite(list, command);
        break;
      default:
        this.#products.add(list, this.#specOf(command.model), command);
    }
  }

  /** Weights cross as stored, where kernels can decode them where they are used. */
  #bring(list: OperationList, command: DecodeCommand): void {
    const { dtype, count, runs, target } = command;
    const byteLength = codecs[dtype].bytes(count);
    if (isKept(vulkanFormats, command))
      for (const run of runsOf(command, byteLength))
        list.copy(spaces.host + run.source, run.target, byteLength);
    else if (runs)
      for (const run of runsOf(command, f32.bytes(count))) this.#bring(list, { ...run, runs: undefined });
    else {
      let values: Float32Array;
      list.bring(count, target, (first, numValues) => {
        if (first === 0) values = this.#options.decoder.decode(command);
        return values.subarray(first, first + numValues);
      });
    }
  }

  /** The rows' own bytes cross at most; where kernels cannot read the table, the host decodes them. */
  #embed(list: OperationList, command: EmbedCommand): void {
    const { hiddenSize, embedding } = this.#specOf(command.model);
    const table = this.#tableOf(command);
    if (table) {
      const rowBytes = codecs[table.format].bytes(hiddenSize);
      const { ids, target } = command;
      const size = { rows: ids.length, width: hiddenSize, scale: embedding.scale };
      list.dispatch(
        embed({ table: { ...table, rowBytes }, ids: list.data(ids), target, ...size }, this.#options.limits),
      );
      return;
    }
    const embedRows = (first: number, numValues: number) => {
      const ids = command.ids.subarray(first / hiddenSize, (first + numValues) / hiddenSize);
      const rows = this.#options.decoder.rows({ ...command, ids }, hiddenSize);
      return rows.map((value) => value * embedding.scale);
    };
    list.bring(command.ids.length * hiddenSize, command.target, embedRows, hiddenSize);
  }

  #tableOf({ model, table, dtype, onDevice }: EmbedCommand): StoredVector<number> | null {
    if (onDevice && !onDevice.scales) return vectorOf(onDevice);
    const { vocabSize, hiddenSize } = this.#specOf(model);
    const byteLength = vocabSize * codecs[dtype].bytes(hiddenSize);
    if (!isStoredFormat(dtype) || !isReadAt(dtype, table)) return null;
    if (!reaches(this.#options.reach, table, byteLength)) return null;
    return { address: spaces.host + table, format: dtype };
  }

  #attend(list: OperationList, command: AttendCommand): void {
    const { attention } = this.#specOf(command.model).layers[command.layer];
    const { q, k, v, out, cache, ropeCos, ropeSin } = command;
    const { address: scratch, byteLength: scratchBytes } = this.#options.scratch;
    const { numHeads, numKvHeads, headDim, window, scale } = attention;
    const parts = { window, scratchBytes };
    const tables = createAttentionTables(command.sequences, attention, parts, command.shared ?? null);
    list.inTurn(
      attend(
        {
          ...{ numHeads, numKvHeads, headDim, window, scale, q, k, v, out, cache, ropeCos, ropeSin, tables },
          ...{ places: list.data(tables.places), runs: list.data(tables.runs), scratch },
          shared: tables.shared ? list.data(tables.shared) : undefined,
          sinks: command.sinks === null ? undefined : vectorOf(command.sinks),
        },
        this.#options.limits,
      ),
    );
  }

  #gather(list: OperationList, { source, indices, width, target }: GatherCommand): void {
    const rows = indices.length;
    const at = placeOf(list, indices);
    list.dispatch(gather({ source, indices: at, target, rows, width }, this.#options.limits));
  }

  #scatterAdd(list: OperationList, { source, indices, scales, width, target }: ScatterAddCommand): void {
    const rows = indices.length;
    const areDistinct = 'address' in indices || new Set(indices).size === rows;
    list.dispatch(
      scatterAdd(
        {
          ...{ source, target, rows, width, areDistinct },
          ...{ indices: placeOf(list, indices), scales: placeOf(list, scales) },
        },
        this.#options.limits,
      ),
    );
  }

  #specOf(model: ModelRole): ModelSpec {
    const spec = this.#options.models?.[model];
    if (spec) return spec;
    throw new Error(`this queue computes no ${model}`);
  }
}

/** Those that come in from the host do not depend on each other, nor do those that only ask. */
type Direction = 'in' | 'out' | 'across';

function directionOf({ kind }: Command): Direction {
  switch (kind) {
    case 'decode':
    case 'upload':
      return 'in';
    case 'read-back':
    case 'read':
    case 'argmax':
    case 'route':
    case 'starts-finite':
      return 'out';
    default:
      return 'across';
  }
}

/** Where kernels find numbers: with the command, or where they are. */
function placeOf(list: OperationList, numbers: Int32Array | Float32Array | NumbersOnDevice): VulkanAddress {
  return 'address' in numbers ? numbers.address : list.data(numbers);
}

function addCopies(list: OperationList, { kind, host, device, stretches }: CopyCommand): void {
  for (let i = 0; i < stretches.length; i += 3) {
    const inHost = spaces.host + host + f32.bytes(stretches[i]);
    const inDevice = device + f32.bytes(stretches[i + 1]);
    const byteLength = f32.bytes(stretches[i + 2]);
    if (kind === 'upload') list.copy(inHost, inDevice, byteLength);
    else list.copy(inDevice, inHost, byteLength);
  }
}
