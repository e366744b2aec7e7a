/** What the host pool holds before anything is read into it. */

import { f32 } from '@specoffload/native';
import type { PoolMemory, Region } from '../machine/pool.js';
import { readTensor } from '../model/stored.js';
import type { ModelPlacement } from '../schedule/memory-plan.js';
import { rotationTables } from './rotation-tables.js';

export function writeRopeTables(
  { checkpoint, numPositions }: ModelPlacement,
  places: ModelPlacement['rope']['host'],
  pool: PoolMemory,
): void {
  if (!places) return;
  for (const { regions, cos, sin } of rotationTables(checkpoint.spec, places, numPositions)) {
    pool.floats(regions.cos.byteOffset, cos.length).set(cos);
    pool.floats(regions.sin.byteOffset, sin.length).set(sin);
  }
}

export async function writeSinks({ checkpoint, hostSinks }: ModelPlacement, pool: PoolMemory): Promise<void> {
  for (const [layer, region] of (hostSinks ?? []).entries()) {
    const sinks = checkpoint.layers[layer].attention.tensors.find(({ role }) => role === 'sinks');
    if (region && sinks)
      pool.floats(region.byteOffset, sinks.ref.numElements).set(await readTensor(sinks.ref));
  }
}

export async function writeRouters({ checkpoint, routers }: ModelPlacement, pool: PoolMemory): Promise<void> {
  for (const [layer, regions] of (routers ?? []).entries()) {
    if (!regions) continue;
    const { tensors } = checkpoint.layers[layer].attention;
    const roles = { postNorm: regions.norm, router: regions.router, routerBias: regions.bias };
    for (const { role, ref } of tensors) {
      const region = roles[role as keyof typeof roles];
      if (region) pool.floats(region.byteOffset, ref.numElements).set(await readTensor(ref));
    }
  }
}

/** The smallest page of any machine: touching at these distances touches every page. */
const pageBytes = 4096;

/** Touches every page, so that the system maps them now and not while the first transfers are timed. */
export function touch(buffers: readonly Region[], pool: PoolMemory): void {
  for (const { byteOffset, byteLength } of buffers) {
    const floats = pool.floats(byteOffset, f32.count(byteLength));
    for (let index = 0; index < floats.length; index += f32.count(pageBytes)) floats[index] = 0;
  }
}
