/** The paper's two machines as machine files, made from the fitted constants and from data sheets. */

import type { Constants } from './constants.js';
import { type ConstantName, definitionOf } from './constants.js';
import type { EnvironmentName } from './reference.js';

const GiB = 2 ** 30;

const diskRate = 3.5e9;

const hardware = {
  env1: {
    description:
      "the paper's first machine: RTX 4090 24 GB, Intel i9-10980XE, 256 GB, PCIe 3.0 x16; Mixtral 8x7B and LLaMA",
    host: { bytes: 256 * GiB, name: '256 GB of DDR4' },
    locked: 'lockedLink1',
    pageable: 'pageableLink1',
    hostFlops: 'hostFlops1',
    hostCopies: 'hostCopies1',
  },
  env2: {
    description:
      "the paper's second machine: RTX 4090 24 GB, AMD EPYC 7542, 448 GB, PCIe 4.0 x16; Mixtral 8x22B",
    host: { bytes: 448 * GiB, name: '448 GB of DDR4' },
    locked: 'lockedLink2',
    pageable: 'pageableLink2',
    hostFlops: 'hostFlops2',
    hostCopies: 'hostCopies2',
  },
} as const satisfies Readonly<Record<EnvironmentName, unknown>>;

/** What the operating system, two Python processes and CUDA's own buffers take of host memory. */
const systemBytes = 8 * GiB;

/** Share of the disk's rated speed that reading page by page through the page cache reaches: see assumptions.ts. */
const pageCacheShare = 0.5;

/** Content of a machine file; see `parseMachineModel`. */
export function machineFile(environment: EnvironmentName, constants: Constants) {
  const { description, host, locked, pageable, hostFlops, hostCopies } = hardware[environment];
  const fitted = (name: ConstantName) => ({
    value: constants[name],
    source: `fitted to the published bars by specoffload reproduce --fit (${name}: ${definitionOf(name).meaning})`,
  });
  const fittedRate = (name: ConstantName) => {
    const { value, source } = fitted(name);
    return { value, source: `${source}; the roof of memory bounds few rows` };
  };
  const sheet = (value: number, what: string) => ({ value, source: `data sheet: ${what}` });
  const assumed = (value: number, why: string) => ({ value, source: why, assumed: true });
  const traffic = (fixed: number, perHead: number, why: string) => ({
    fixed: { value: fixed, source: `counted in the released code: ${why}` },
    perHead: { value: perHead, source: `counted in the released code: ${why}` },
  });
  const copies = traffic(
    ...([3, 2] as const),
    'torch.cat reads and writes the cache, repeat_kv reads it and writes it for every head, attention reads that',
  );
  const nothing = assumed(0, 'no cost of its own is visible in the bars');
  return {
    ...{ schema: 2, name: environment, description, formats: 'bf16' },
    memories: [
      { name: 'disk', bytes: assumed(1e12, 'never full') },
      {
        name: 'host',
        bytes: {
          value: host.bytes - systemBytes,
          source: `data sheet: ${host.name}; less 8 GiB (assumed) for the system, two Python processes and CUDA`,
        },
        pageCache: true,
      },
      { name: 'device', bytes: sheet(24_564 * 2 ** 20, 'RTX 4090, 24564 MiB') },
    ],
    lanes: [
      {
        ...{ name: 'disk', moves: { from: 'disk', to: 'host' } },
        overheadSeconds: nothing,
        bytesPerSecond: sheet(
          diskRate,
          '3.5 GB/s read, as the paper states; direct reads into page-locked memory reach it',
        ),
        pageableBytesPerSecond: assumed(
          diskRate * pageCacheShare,
          'half of the sheet through the page cache, where reads wait for each other and every byte is copied once more',
        ),
      },
      {
        ...{ name: 'link', moves: { from: 'host', to: 'device' } },
        overheadSeconds: nothing,
        bytesPerSecond: fitted(locked),
        pageableBytesPerSecond: fitted(pageable),
        cacheBytesPerSecond: fitted(hostCopies),
        cacheTraffic: {
          fixed: assumed(0, 'the crossing itself is faster than the copies before it'),
          perHead: assumed(
            2,
            "FlexGen's cache, repeated for each head, is read and written to page-locked memory before it crosses",
          ),
        },
      },
      {
        ...{ name: 'host', computesOn: 'host' },
        overheadSeconds: nothing,
        arithmetic: fittedRate(hostFlops),
        memoryBytesPerSecond: fitted('hostWeights'),
        cacheBytesPerSecond: fitted(hostCopies),
        cacheTraffic: copies,
        scoreFlopsPerSecond: assumed(constants[hostFlops], 'as fast as products; memory binds first'),
        secondsPerRow: nothing,
        latencySeconds: nothing,
        kinds: {
          realign: {
            secondsPerRow: assumed(
              2e-5,
              'Python work per sequence, layer and round after acceptance; below 1e-4 the bars do not tell',
            ),
          },
        },
      },
      {
        ...{ name: 'device', computesOn: 'device', width: 2, interruptsDraft: true },
        overheadSeconds: nothing,
        arithmetic: fittedRate('deviceFlops'),
        memoryBytesPerSecond: sheet(1008e9, 'RTX 4090, 1008 GB/s'),
        cacheBytesPerSecond: sheet(1008e9, 'RTX 4090, 1008 GB/s'),
        cacheTraffic: copies,
        scoreFlopsPerSecond: assumed(constants.deviceFlops, 'as fast as products'),
        secondsPerRow: nothing,
        latencySeconds: nothing,
        kinds: {
          expert: { overheadSeconds: fitted('deviceTask') },
          attention: { overheadSeconds: fitted('deviceTask') },
          draft: {
            latencySeconds: fitted('draftCall'),
            cacheTraffic: {
              fixed: assumed(1, 'the draft keeps no cache from round to round, so nothing is appended'),
              perHead: assumed(0, 'its kernels read each KV head for all heads that share it'),
            },
          },
        },
      },
    ],
  };
}
